"""What is sent: the simulated shop, with more that goes wrong than it does by itself.

Beside the shop's own duplicates and broken records there are events that come late or out of
order, copies of an event hours later in event time and on another partition, events without an id,
requests that are sent twice, and broken requests. Pure and seeded.

The catalogue is whole before the first event: what the shop will ever sell is found by letting it
run once in advance. So a reference knows what every role knew of each item.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from stream.shop import Shop, ShopConfig, ShopRecord
from stream.topics import RAW_EVENT_TOPICS

HOUR_MS = 3_600_000

LATE_SHARE, LATE_RECORDS = 0.03, (10, 300)
"""Events held back, and for how many records: minutes, at the rate of a run."""

OLD_SHARE = 0.01
"""Events whose time is hours ago, as from a phone that was offline."""

COPY_SHARE, COPY_RECORDS = 0.02, (3, 150)
"""Events sent once more under the same id, hours later in event time, on some other partition. Not
later in the stream than a user's 48 newest event ids reach back."""

NAMELESS_SHARE = 0.05
"""Events without an id: their place in their topic becomes it."""

TWICE_SHARE, TWICE_RECORDS = 0.1, (1, 40)
"""Requests sent again under the same id."""

BROKEN_REQUEST_SHARE = 0.02

BROKEN_REQUESTS = (b"", b"recommend!", b"[]", b'{"request_id": "r"}', b'{"user_id": "u", "k": 0}')


def catalogue(seed: int, start_ms: int, rate_per_s: float, events: int) -> list[ShopRecord]:
    """Every item that the shop will sell in so many events, as it is at the end of them."""
    shop = _shop(seed, start_ms, rate_per_s)
    newest = {record.key: record for record in shop.item_records()}
    while shop.events < events:
        newest |= {record.key: record for record in shop.step() if record.topic_kind == "items"}
    return list(newest.values())


def _shop(seed: int, start_ms: int, rate_per_s: float) -> Shop:
    config = ShopConfig(
        items=120,
        shoppers=2_000,
        open_visits=64,
        start_ms=start_ms,
        mean_gap_ms=1000.0 / rate_per_s,
        duplicate_share=0.02,
        broken_share=0.02,
    )
    return Shop(seed, config)


class HardShop:
    """An endless stream of records to send.

    Parameters
    ----------
    seed
        The same seed, start and rate give the same records.
    start_ms
        The shop's time of the first event.
    rate_per_s
        Events per second that will be sent: the shop's clock keeps up with ours.
    """

    def __init__(self, seed: int, start_ms: int, rate_per_s: float) -> None:
        self._shop = _shop(seed, start_ms, rate_per_s)
        self._rng = Random(f"hard shop {seed}")
        self._held: list[tuple[int, int, ShopRecord]] = []
        self._records = 0

    def records(self) -> Iterator[ShopRecord]:
        """Everything that is sent, in this order."""
        for record in self._shop.records():
            self._records += 1
            yield from self._made_hard(record)
            while self._held and self._held[0][0] <= self._records:
                yield heapq.heappop(self._held)[2]

    def _made_hard(self, record: ShopRecord) -> Iterator[ShopRecord]:
        rng = self._rng
        if record.label == "request":
            yield record
            if rng.random() < TWICE_SHARE:
                self._hold(record, TWICE_RECORDS)
            if rng.random() < BROKEN_REQUEST_SHARE:
                value = rng.choice(BROKEN_REQUESTS)
                yield record._replace(value=value, label="broken")
        elif record.label == "event" and record.topic_kind in RAW_EVENT_TOPICS:
            yield from self._event(record)
        elif record.topic_kind != "items":
            yield record

    def _event(self, record: ShopRecord) -> Iterator[ShopRecord]:
        rng = self._rng
        event: dict[str, Any] = msgspec.json.decode(record.value or b"")
        draw = rng.random()
        if draw < COPY_SHARE:
            later = event | {"ts": event["ts"] + rng.randrange(1, 6) * HOUR_MS}
            key = rng.choice((None, b"again", record.key, b"%d" % rng.randrange(99)))
            copy = record._replace(key=key, value=msgspec.json.encode(later), label="duplicate")
            self._hold(copy, COPY_RECORDS)
        elif (draw := draw - COPY_SHARE) < OLD_SHARE:
            event["ts"] -= rng.randrange(1, 12) * HOUR_MS
            record = record._replace(value=msgspec.json.encode(event))
        elif (draw := draw - OLD_SHARE) < LATE_SHARE:
            self._hold(record, LATE_RECORDS)
            return
        yield record

    def _hold(self, record: ShopRecord, records: tuple[int, int]) -> None:
        heapq.heappush(
            self._held, (self._records + self._rng.randrange(*records), self._records, record)
        )
