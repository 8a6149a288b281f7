"""A small catalogue to search in, with vectors that point where their word does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.search.fusion import SearchHead
from serving.search.config import SearchConfig
from serving.search.dense import QueryVectors
from serving.search.engine import Engine
from stream.events import ItemVector

MEANT = {"kettle": 0.0, "boiler": 0.05, "hammer": 1.5, "drill": 1.55}
"""Where words point, in radians: a boiler is nearly a kettle."""


class Angles:
    """An encoder that knows four words."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        angles = [
            next((MEANT[w] for w in text.lower().split() if w in MEANT), None) for text in texts
        ]
        return np.array(
            [(0.0, 0.0) if at is None else (np.cos(at), np.sin(at)) for at in angles], np.float16
        )


def item(item_id: str, title: str, **more: Any) -> ItemVector:
    fields: dict[str, Any] = {"first_seen_ms": 0, **more}
    vector = Angles().encode([title])[0].astype("<f2").tobytes()
    return ItemVector(
        item_id=item_id, title=title, vector=vector, encoder="angles", text_hash="", **fields
    )


STOCK = (
    item("k1", "Steel kettle", category=("Kitchen", "Kettles"), brand="Acme", price=30.0),
    item("k2", "Glass kettle 1.7 l", category=("Kitchen", "Kettles"), brand="Bolt", price=45.0),
    item("b1", "Water boiler", category=("Kitchen", "Boilers"), brand="Acme", price=60.0),
    item("h1", "Claw hammer", category=("Tools", "Hammers"), brand="Bolt", price=15.0),
    item("d1", "Cordless drill DX-220B", category=("Tools", "Drills"), brand="Bolt", price=99.0),
    item("d2", "Cordless drill DX-220", category=("Tools", "Drills"), brand="Acme", price=89.0),
    item("t1", "红茶壶", category=("Kitchen", "Pots"), price=20.0),
    item("o1", "Old lamp", category=("Lamps",), price=5.0, available=False),
    item("s1", "Wireless headphones", category=("Audio",), attributes={"noise cancelling": True}),
)


def engine(stock: Sequence[ItemVector] = STOCK, *, meaning: bool = False) -> Engine:
    catalog = Catalog(width=2, texts=True)
    catalog.upsert(list(stock))
    vectors = QueryVectors(Angles) if meaning else QueryVectors()
    made = Engine(catalog, vectors, SearchHead(), SearchConfig())
    made.follow()
    return made
