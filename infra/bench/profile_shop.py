"""What the bench of the profile reads: events of the simulated shop, and items with vectors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stream.events import Event, ItemVector, json_encode, msgpack_encode
from stream.outgoing import Outgoing
from stream.publish import partition_of
from stream.shop import Shop, ShopConfig

SEED = 3
SHOP = ShopConfig(items=1_000, shoppers=5_000, open_visits=200)
"""Some 4,600 of the shoppers turn up in 100,000 events."""

WIDTH = 384
"""As the default text encoder's vectors."""

SPREAD = 0.8
"""Noise beside a category's direction, both of length 1: two of a category have a cosine of .6."""


class ProfileShop:
    """A seeded shop whose log is made at once.

    Attributes
    ----------
    events
        What ingest would let through, in time order.
    items
        The catalogue as the learner announces it, with made-up vectors: alike within a category.
    """

    def __init__(self, count: int, config: ShopConfig = SHOP) -> None:
        shop = Shop(SEED, config)
        self.items = list(_vectors(shop))
        self.events: list[Event] = shop.clean_events(count)

    def event_records(self) -> Iterator[Outgoing]:
        """Records of `events`, keyed by user."""
        return (Outgoing(event.user_id.encode(), json_encode(event)) for event in self.events)

    def item_records(self) -> Iterator[Outgoing]:
        """Records of `item-vectors`."""
        return (Outgoing(item.item_id.encode(), msgpack_encode(item)) for item in self.items)

    def partitions(self, count: int) -> list[list[Event]]:
        """The events as a topic of so many partitions holds them."""
        split: list[list[Event]] = [[] for _ in range(count)]
        for event in self.events:
            split[partition_of(event.user_id.encode(), count)].append(event)
        return split


def _vectors(shop: Shop) -> Iterator[ItemVector]:
    generator = np.random.default_rng(SEED)
    centres: dict[tuple[str, ...], np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
    for item in shop.items():
        path = item.category if isinstance(item.category, tuple) else (item.category,)
        if path not in centres:
            centre = generator.standard_normal(WIDTH)
            centres[path] = centre / np.linalg.norm(centre)
        noise = generator.standard_normal(WIDTH)
        vector = centres[path] + SPREAD * noise / np.linalg.norm(noise)
        yield ItemVector(
            item_id=item.item_id,
            vector=(vector / np.linalg.norm(vector)).astype("<f2").tobytes(),
            encoder="made-up",
            text_hash="",
            first_seen_ms=0,
            title=item.title,
            category=path,
            brand=item.brand,
            price=item.price,
        )
