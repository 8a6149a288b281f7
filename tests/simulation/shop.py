"""What is sent in a simulation: events of a few users, copies of them, late ones, and rubbish."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import msgspec
import numpy as np

from features.catalog import Catalog
from stream.clock import Clock
from stream.events import ItemVector, msgpack_encode
from stream.outgoing import Outgoing

USERS = tuple(f"u{n}" for n in range(6))
WIDTH = 8
ITEMS = 12
RECENT = 40
"""Copies are made of the newest records: a profile remembers 48 event ids of each user."""

HOUR_MS = 3_600_000
KINDS = ("clicks", "clicks", "clicks", "purchases", "reviews")


class Sent(NamedTuple):
    """A raw record and the topic that it is for, without the prefix."""

    kind: str
    record: Outgoing


def item_vectors() -> list[ItemVector]:
    """A catalogue of two shelves."""
    rng = np.random.default_rng(3)
    return [
        ItemVector(
            item_id=f"i{n}",
            vector=_unit(rng.normal(size=WIDTH) + 4 * np.eye(WIDTH)[n % 2]).tobytes(),
            encoder="simulation",
            text_hash="",
            first_seen_ms=0,
            category=("Home", ("Tea", "Lamps")[n % 2]),
            brand=f"brand {n % 3}",
            price=None if n % 4 == 3 else 1.5 * n,
        )
        for n in range(ITEMS)
    ]


def catalogue() -> Catalog:
    """The same, as every role holds it."""
    catalog = Catalog(WIDTH)
    catalog.upsert(item_vectors())
    return catalog


def item_records() -> list[Outgoing]:
    """The same, as records of `item-vectors`."""
    return [Outgoing(item.item_id.encode(), msgpack_encode(item)) for item in item_vectors()]


class SimShop:
    """Draws what is sent next."""

    def __init__(self, rng: Random, clock: Clock) -> None:
        self._rng = rng
        self._clock = clock
        self._sent: list[tuple[str, dict[str, Any]]] = []
        self._count = 0
        self._requests: list[dict[str, Any]] = []

    def event(self) -> Sent:
        """One raw record: new, a copy of an earlier one, or broken."""
        rng, draw = self._rng, self._rng.random()
        if draw < 0.2 and self._sent:
            kind, fields = rng.choice(self._sent[-RECENT:])
            fields = dict(fields)
            if rng.random() < 0.3:
                fields["ts"] += HOUR_MS
        else:
            kind, fields = self._new()
        if draw > 0.95:
            return Sent(kind, Outgoing(self._key(fields), self._broken(fields)))
        if "event_id" in fields and (kind, fields) not in self._sent[-RECENT:]:
            self._sent.append((kind, fields))
        return Sent(kind, Outgoing(self._key(fields), msgspec.json.encode(fields)))

    def request(self) -> Sent:
        """A request for a list; now and then the same one again, or a broken one."""
        rng = self._rng
        if self._requests and rng.random() < 0.1:
            fields = rng.choice(self._requests)
        else:
            fields = {"request_id": f"r{len(self._requests)}", "user_id": rng.choice(USERS), "k": 3}
            self._requests.append(fields)
        value = msgspec.json.encode(fields)
        if rng.random() < 0.05:
            value = value[:-1]
        return Sent("requests", Outgoing(fields["user_id"].encode(), value))

    def _new(self) -> tuple[str, dict[str, Any]]:
        rng = self._rng
        self._count += 1
        kind = rng.choice(KINDS)
        late_ms = rng.choice((0, 0, 0, 0, 1, HOUR_MS)) * rng.randrange(1, 5)
        fields: dict[str, Any] = {
            "user_id": rng.choice(USERS),
            "item_id": f"i{rng.randrange(ITEMS + 1)}",  # the last one is in no catalogue
            "ts": self._clock.now_ms() - late_ms,
        }
        if rng.random() < 0.8:
            fields["event_id"] = f"e{self._count}"
        if kind == "clicks":
            fields["action"] = rng.choice(("view", "click", "cart"))
        elif kind == "purchases":
            fields["quantity"] = rng.randrange(1, 5)
            fields["price"] = rng.choice((None, 1, 2.5, 99.99))
        else:
            fields["rating"] = rng.choice((None, 1, 3, 4.5, 5))
        return kind, fields

    def _broken(self, fields: dict[str, Any]) -> bytes | None:
        broken = {
            "user_id": self._rng.choice((7, "", " u", "a\nb")),
            "ts": self._rng.choice((0, "yesterday", None, 1e30)),
        }
        name = self._rng.choice((*broken, "missing", "cut", "null"))
        if name == "null":
            return None
        if name == "cut":
            return msgspec.json.encode(fields)[:-2]
        if name == "missing":
            return msgspec.json.encode({k: v for k, v in fields.items() if k != "item_id"})
        return msgspec.json.encode({**fields, name: broken[name]})

    def _key(self, fields: dict[str, Any]) -> bytes:
        """A shop keys as it likes: by user, or by whatever."""
        if self._rng.random() < 0.7:
            return str(fields["user_id"]).encode()
        return str(self._rng.random()).encode()


def _unit(vector: Any) -> Any:
    return (vector / np.linalg.norm(vector)).astype("<f2")
