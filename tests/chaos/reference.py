"""What a user's events make of them, worked out in one pass over the log of `events`.

Nothing here is shared with the agents: no parsing, no profile, no interests. What is taken from the
product are the structs of its records, to read them, and the numbers of its settings.

The rules: of one event (user, event id) the first copy on `events` counts. A copy that comes when
its user has done more than 48 further events may count once more, the promise says: what the run
made of it decides, and must then hold everywhere. A history holds the
newest 50 steps by event time, of equal times in the order in which they came. What falls out of it
leaves four bytes in `seen`. An example carries what was known strictly before it, both in time and
in the order of arrival.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from hashlib import blake2b

from stream.events import KINDS, Event, Example, Kind, Step, decode_event
from tests.chaos.reference_interest import Items, Taste
from tests.chaos.topic_log import Logged

STEPS = 50
SEEN = 512
IDS = 48

EventKey = tuple[str, str]
"""The user and the event's id; for one that counts once more, with its place."""

Place = tuple[int, int]
"""Partition and offset."""


@dataclass
class User:
    """One user; `take` is called with each of their events, once."""

    user_id: str
    items: Items
    steps: list[Step] = field(default_factory=list)
    seen: dict[int, None] = field(default_factory=dict)
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    quantities: int = 0
    paid: float = 0.0
    xor: int = 0
    ids: list[bytes] = field(default_factory=list)
    prices: list[float] = field(default_factory=list)
    ratings: list[float] = field(default_factory=list)
    partition: int = -1
    offset: int = -1
    last_event_id: str = ""
    first_ms: int = 0
    last_ms: int = 0
    taste: Taste = field(default_factory=Taste)

    @property
    def events(self) -> int:
        """How many events there were."""
        return sum(self.counts.values())

    def take(self, event: Event, partition: int, offset: int) -> Example:
        """Take an event in; returns the example that must have been made of it."""
        before = [step for step in self.steps if step.ts_ms <= event.ts_ms]
        seen = b"".join(code.to_bytes(4, "little") for code in self.seen) if before else b""
        example = Example(
            event_id=event.event_id,
            user_id=event.user_id,
            item_id=event.item_id,
            kind=event.kind,
            ts_ms=event.ts_ms,
            received_ms=event.received_ms,
            partition=partition,
            offset=offset,
            history=tuple(before),
            user_events=self.events,
            rating=event.rating,
            seen=seen,
            text="\n".join(part for part in (event.title, event.text) if part).strip(),
        )
        self._remember(event, later=len(self.steps) - len(before))
        self.partition, self.offset = partition, offset
        return example

    def _remember(self, event: Event, later: int) -> None:
        first = not self.events
        step = Step(event.item_id, event.kind, event.ts_ms, event.rating)
        self.steps.insert(len(self.steps) - later, step)
        if len(self.steps) > STEPS:
            code = zlib.crc32(self.steps.pop(0).item_id.encode())
            self.seen.pop(code, None)
            self.seen[code] = None
            if len(self.seen) > SEEN:
                del self.seen[next(iter(self.seen))]
        self.counts[event.kind] += 1
        self.quantities += event.quantity
        self.paid += event.price or 0.0
        self.xor ^= hash_of(event.event_id)
        self.ids.append(blake2b(event.event_id.encode(), digest_size=8).digest())
        price = self.items.price(event.item_id) if event.price is None else event.price
        self.prices += [] if price is None else [price]
        self.ratings += [] if event.rating is None else [event.rating]
        self.last_event_id = event.event_id
        self.first_ms = event.ts_ms if first else min(self.first_ms, event.ts_ms)
        self.last_ms = event.ts_ms if first else max(self.last_ms, event.ts_ms)
        self.taste.pulled_by(event, self.items, later)


@dataclass
class Reference:
    """Everything that follows from `events`.

    `first` holds, for each event, its first copy and where that lies; `copies` are all of them;
    `again` says under which key an event counts that was forgotten, by its place.
    """

    first: dict[EventKey, tuple[Event, Logged]] = field(default_factory=dict)
    again: dict[Place, EventKey] = field(default_factory=dict)
    copies: list[Event] = field(default_factory=list)
    examples: dict[EventKey, Example] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)


def single_pass(
    events: Iterable[Logged], items: Items, examples: Set[Place] = frozenset()
) -> Reference:
    """Go through `events`, in offset order along each partition.

    Parameters
    ----------
    events
        The topic.
    items
        The catalogue, as it was before the first event; empty where nothing is known of it.
    examples
        Places on `events` of which the run made an example.
    """
    reference = Reference()
    newest: dict[EventKey, int] = {}
    for record in events:
        event = decode_event(record.value or b"")
        reference.copies.append(event)
        key = (event.user_id, event.event_id)
        user = reference.users.get(event.user_id)
        if user is None:
            user = reference.users[event.user_id] = User(event.user_id, items)
        place, at = (record.partition, record.offset), newest.get(key)
        if at is not None:
            if user.events - at <= IDS or place not in examples:
                continue
            key = reference.again[place] = (event.user_id, f"{event.event_id} once more, {place}")
        newest[event.user_id, event.event_id] = user.events
        reference.first[key] = (event, record)
        reference.examples[key] = user.take(event, record.partition, record.offset)
    return reference


def hash_of(event_id: str) -> int:
    """Eight bytes of an event's id as a number: XOR over a set of them tells sets apart."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "little")
