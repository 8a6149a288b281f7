"""From a shop's items to their vectors, of text and image, encoding only what has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.image_vectors import image_vectors
from learner.ngram_vectors import joined
from stream.events import Item, ItemVector
from stream.tenants import tenant_of

DESCRIPTION_CHARS = 1_000
"""What of a description is encoded: an encoder reads some 64 tokens, and a title comes first."""

TOLD_CHARS = 2_000
"""What of a description is carried to those who search items and answer questions about them."""

IMAGE_SHARE = 0.3
"""Share of the likeness of two items that their images have, where both have texts as well."""

PENDING = ""
"""The text hash of an item that is announced before its text is encoded."""


class Encodes(Protocol):
    """A text encoder."""

    @property
    def name(self) -> str:
        """Its name; vectors of different encoders don't mix."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Texts to vectors of length 1, or zero for an empty text."""


def item_text(item: Item) -> str:
    """What is encoded of an item: title, brand, category path, description.

    >>> item_text(Item(item_id="1", title="Tea pot", brand="Brown Betty", category=("Home", "Tea")))
    'Tea pot. Brown Betty. Home > Tea'
    """
    path = item.category if isinstance(item.category, str) else " > ".join(item.category)
    parts = (item.title, item.brand, path, item.description[:DESCRIPTION_CHARS])
    return ". ".join(part.strip() for part in parts if part.strip())


def text_hash(text: str, encoder: str, image: tuple[float, ...] | None = None) -> str:
    """Changes when the text, the image or the encoder does."""
    digest = hashlib.blake2b(f"{encoder}\0{text}".encode(), digest_size=12)
    if image:
        digest.update(np.asarray(image, "<f4").tobytes())
    return digest.hexdigest()


def describe_item(
    item: Item,
    encoder: str,
    known: ItemVector | None,
    now_ms: int,
    twin: ItemVector | None = None,
) -> ItemVector:
    """An item as it stands before its text is encoded: with its old vector if that still holds.

    A `twin` is the same article under another id: its vector is the item's, whatever its own text.
    """
    text = item_text(item)
    digest = text_hash(text, encoder, item.image_vector)
    vector, state = b"", PENDING
    if known is not None and known.encoder == encoder and known.text_hash == digest:
        vector, state = known.vector, digest
    elif twin is not None and twin.encoder == encoder and twin.vector:
        vector, state = twin.vector, digest
    elif not text and not item.image_vector:
        state = digest
    category = (item.category,) if isinstance(item.category, str) else item.category
    return ItemVector(
        item_id=item.item_id,
        vector=vector,
        encoder=encoder,
        text_hash=state,
        first_seen_ms=known.first_seen_ms if known is not None else now_ms,
        title=item.title,
        category=tuple(part for part in category if part),
        brand=item.brand,
        price=item.price,
        available=item.available,
        description=item.description[:TOLD_CHARS],
        attributes=item.attributes,
        kind=item.kind,
        bid=item.bid,
        budget=item.budget,
        gtin=item.gtin,
    )


def encode_items(
    items: Sequence[Item],
    encoder: Encodes,
    known: Callable[[str], ItemVector | None],
    now_ms: int,
    *,
    at_once: int = 64,
    twin: Callable[[str, str], ItemVector | None] = lambda _item_id, _gtin: None,
) -> Iterator[list[ItemVector]]:
    """Turn items into vectors, a list at a time, so that a large catalogue arrives step by step.

    Of several states of one item the newest counts. When more have to be encoded than fit in one
    go, all items are announced first without their vectors: an item can be recommended by its
    popularity while its text still waits. Of several ids of one article (`gtin`) the first one's
    text is encoded, for all of them.
    """
    newest = {item.item_id: item for item in items}
    described = {
        i: describe_item(item, encoder.name, known(i), now_ms, twin(i, item.gtin))
        for i, item in newest.items()
    }
    waiting = [i for i, vector in described.items() if vector.text_hash == PENDING]
    ready = [v for v in described.values() if v.text_hash != PENDING]
    if len(waiting) > at_once:
        yield list(described.values())
    elif ready:
        yield ready
    # An id that looks like an article number is none.
    article = {i: (tenant_of(i), newest[i].gtin, newest[i].gtin or i) for i in waiting}
    first_of = {article[i]: i for i in reversed(waiting)}
    leads = {i: first_of[article[i]] for i in waiting}
    follow: dict[str, list[str]] = {}
    for i, lead in leads.items():
        if i != lead:
            follow.setdefault(lead, []).append(i)
    waiting = [i for i in waiting if leads[i] == i]
    for start in range(0, len(waiting), at_once):
        part = waiting[start : start + at_once]
        texts = [item_text(newest[i]) for i in part]
        images = [newest[i].image_vector for i in part]
        vectors = _with_images(encoder.encode(texts), images)
        yield [
            encoded(described[i], vector, _digest(newest[i], encoder.name))
            for lead, vector in zip(part, vectors, strict=True)
            for i in (lead, *follow.get(lead, ()))
        ]


def _digest(item: Item, encoder: str) -> str:
    return text_hash(item_text(item), encoder, item.image_vector)


def _with_images(
    text_NE: NDArray[np.float16], images: Sequence[tuple[float, ...] | None]
) -> NDArray[np.float16]:
    if not any(images):
        return text_NE
    image_NE = image_vectors(images, text_NE.shape[1])
    only_N = ~text_NE.any(axis=1)
    share_N = np.where(image_NE.any(axis=1), np.where(only_N, 1.0, IMAGE_SHARE), 0.0)
    return joined(text_NE.astype(np.float32), image_NE, share_N.astype(np.float32)).astype("<f2")


def encoded(item: ItemVector, vector: NDArray[np.float16], digest: str) -> ItemVector:
    """An item with its vector."""
    return msgspec.structs.replace(item, vector=vector.astype("<f2").tobytes(), text_hash=digest)


def catalogue_of(items: Sequence[Item], encoder: Encodes, width: int, now_ms: int = 0) -> Catalog:
    """A whole catalogue at once, for offline runs."""
    catalog = Catalog(width)
    for part in encode_items(items, encoder, lambda _: None, now_ms):
        catalog.upsert(part)
    return catalog
