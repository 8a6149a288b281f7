"""The simulated shop's catalogue with drawn vectors instead of encoded texts: in no time."""

from __future__ import annotations

import numpy as np

from features.catalog import Catalog
from stream.events import ItemVector
from stream.shop import Shop

WIDTH = 64


def drawn_catalogue(shop: Shop, seed: int) -> Catalog:
    """Cosines of some 0.5 within a category and of 0 between them, as encoders nearly have it."""
    rng = np.random.default_rng(seed)
    centre: dict[str | tuple[str, ...], np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
    catalog = Catalog(WIDTH)
    vectors = []
    for item in shop.items():
        if item.category not in centre:
            centre[item.category] = rng.standard_normal(WIDTH)
        vector = centre[item.category] + rng.standard_normal(WIDTH)
        path = (item.category,) if isinstance(item.category, str) else item.category
        vectors.append(
            ItemVector(
                item_id=item.item_id,
                vector=(vector / np.linalg.norm(vector)).astype("<f2").tobytes(),
                encoder="test",
                text_hash="",
                first_seen_ms=0,
                category=path,
            )
        )
    catalog.upsert(vectors)
    return catalog
