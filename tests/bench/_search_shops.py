"""What the bench of search searches: recorded catalogues with vectors, and made-up large ones.

Legend: `N` texts, `E` width.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.catalogue import item_text
from learner.config import EncoderConfig, LearnerConfig
from learner.encoder import TextEncoder
from learner.search.fusion import SearchHead
from serving.search.config import SearchConfig
from serving.search.dense import Encodes, QueryVectors
from serving.search.engine import Engine
from stream.events import Item, ItemVector

AT_ONCE = 256


class Kept:
    """The product's encoder, with a file of what it said before where a folder is named."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self._encoder: TextEncoder | None = None
        self._file = None if folder is None else folder / f"{name}.npz"
        self._known: dict[str, NDArray[np.float16]] = {}
        if self._file is not None and self._file.exists():
            with np.load(self._file) as kept:
                self._known = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Encode texts, shape (N, E)."""
        keys = [hashlib.blake2b(text.encode(), digest_size=12).hexdigest() for text in texts]
        new = [n for n, key in enumerate(keys) if key not in self._known]
        for start in range(0, len(new), AT_ONCE):
            part = new[start : start + AT_ONCE]
            if self._encoder is None:
                self._encoder = TextEncoder(EncoderConfig())
            for n, vector in zip(part, self._encoder.encode([texts[n] for n in part]), strict=True):
                self._known[keys[n]] = vector
        return np.stack([self._known[key] for key in keys])

    def close(self) -> None:
        """Write the file."""
        if self._file is not None and self._known:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(
                self._file,
                keys=np.array(list(self._known)),
                vectors=np.stack([*self._known.values()]),
            )


def icecat(folder: Path) -> list[Item]:
    """The products of `chorus_icecat` as a shop would send them."""
    import pandas as pd  # noqa: PLC0415 - only for this

    products = pd.read_parquet(folder / "chorus_icecat" / "products.parquet")
    return [
        Item(
            item_id=row.product_id,
            title=row.title or "",
            brand=row.brand or "",
            category=(row.category,) if row.category else (),
            description=_plain(row.short_description or ""),
            price=row.price / 100,
            attributes=_attributes(row.attributes),
        )
        for row in products.itertuples()
    ]


def rated(folder: Path) -> dict[str, dict[str, int]]:
    """Each query's ratings by item; queries for which nothing is good are left out."""
    import pandas as pd  # noqa: PLC0415 - only for this

    ratings = pd.read_parquet(folder / "chorus_icecat" / "ratings.parquet")
    of: dict[str, dict[str, int]] = {}
    for row in ratings.itertuples():
        of.setdefault(row.query, {})[row.product_id] = int(row.rating)
    return {query: those for query, those in of.items() if max(those.values())}


def stocked(items: Sequence[Item], encoder: Encodes) -> Catalog:
    """A catalogue of items with the vectors that the learner would give them."""
    catalog = Catalog(LearnerConfig().encoder.width, texts=True)
    vectors = encoder.encode([item_text(item) for item in items])
    catalog.upsert(
        [
            ItemVector(
                item_id=item.item_id,
                vector=vector.astype("<f2").tobytes(),
                encoder="",
                text_hash="",
                first_seen_ms=0,
                title=item.title,
                category=(item.category,) if isinstance(item.category, str) else item.category,
                brand=item.brand,
                price=item.price,
                description=item.description,
                attributes=item.attributes,
            )
            for item, vector in zip(items, vectors, strict=True)
        ]
    )
    return catalog


def engine_on(
    catalog: Catalog,
    encoder: Encodes | None,
    config: SearchConfig | None = None,
    head: SearchHead | None = None,
) -> Engine:
    """Search over a catalogue, all of it in the index."""
    engine = Engine(
        catalog, QueryVectors(lambda: encoder), head or SearchHead(), config or SearchConfig()
    )
    engine.follow()
    return engine


def made_up(items: int, width: int = 384) -> Catalog:
    """A catalogue of any size: titles of six words as frequent as words are, drawn vectors."""
    random = np.random.default_rng(0)
    vocabulary = np.array([_word(n) for n in range(50_000)])
    share = 1.0 / np.arange(1, len(vocabulary) + 1) ** 0.9
    share /= share.sum()
    catalog = Catalog(width, texts=True)
    for start in range(0, items, AT_ONCE * 16):
        count = min(AT_ONCE * 16, items - start)
        words = vocabulary[random.choice(len(vocabulary), (count, 6), p=share)]
        vectors = random.standard_normal((count, width), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        catalog.upsert(
            [
                ItemVector(
                    item_id=f"i{start + n}",
                    vector=vectors[n].astype("<f2").tobytes(),
                    encoder="",
                    text_hash="",
                    first_seen_ms=0,
                    title=" ".join(words[n]),
                    category=("Shop", f"Kind {(start + n) % 500}"),
                    brand=f"Brand {(start + n) % 97}",
                    price=float((start + n) % 300 + 1),
                )
                for n in range(count)
            ]
        )
    return catalog


def _word(number: int) -> str:
    """A pronounceable word for each number."""
    letters = []
    while True:
        number, left = divmod(number, 80)
        letters.append("bdfgklmnprstvwzh"[left % 16] + "aeiou"[left // 16])
        if not number:
            return "".join(letters) + "n"


def _plain(text: str) -> str:
    return re.sub(r"<[^>]+>", " ", html.unescape(text))


def _attributes(text: object) -> dict[str, str | float | bool]:
    of = json.loads(text) if isinstance(text, str) else {}
    plain = {name.split("_", 2)[-1].replace("_", " ").strip(): one for name, one in of.items()}
    plain.pop("product type", None)
    return {
        name: one if isinstance(one, bool | str) else float(one)
        for name, one in plain.items()
        if isinstance(one, bool | str | int | float)
    }
