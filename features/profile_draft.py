"""A user's profile while events are applied to it, one after the other.

All but the vectors and the shifts, which wait for the other users of the run. An event costs some
microseconds here, so what is kept is changed in place, and only made a `Profile` at the end.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

import msgspec

from features.interest import ItemSpace
from features.profile_state import Mark, Mean, Profile
from features.pulls import Interests, Pull, Strength
from features.readings import as_read, sentiment_of
from features.shift import LEAST_PAST, LEAST_RECENT, ShiftState
from features.shift_watch import InTime, ShiftWatch
from stream.events import KIND_CODE, Event, Example, Step
from stream.seen import remember

MAX_STEPS = 50
"""Events in a history: what the behaviour transformer reads."""

_MAX_IDS = 48
"""Event ids remembered against producers that send twice: 8 bytes each, so that a full state stays
within 2 KiB, `seen` and what is said of the user aside. Ingest drops what it sees; this catches
what it forgot in a restart."""

_MAX_SOURCES = 32
"""Raw partitions remembered, against batches that ingest publishes again after a kill: a shop whose
raw topics are keyed by user needs 3, one for each; one that keys by nothing 24 of 8 partitions."""

_MAX_PREFERENCES = 8
_KEEP_PERMILLE = 970
"""What is left of a preference after each event: half after 23 events."""

MOMENTS = (5, 20, 80, 320, 1_280, 5_120, 20_480)
"""Events of a user at which they are described anew (`features.words`), whatever happens: rarer and
rarer, since what is said of many events changes with many."""

_NO_MARK = Mark()


class Standing(NamedTuple):
    """What is listed and counted of a user after one of their events, by `Profile`'s names."""

    steps: tuple[Step, ...]
    counts: tuple[int, ...]
    price: Mean
    last_event_id: str
    first_ms: int
    last_ms: int


class Draft:
    """What is remembered of a user, event by event.

    Attributes
    ----------
    before
        The profile as it was.
    examples
        One for each event that was not applied before.
    pulls
        What moves the interests.
    in_time
        What the search for shifts hears of.
    standings
        Where the user stood at each moment that came, by the number of its example; not at the last
        example, after which they stand as the profile says.
    """

    def __init__(
        self,
        profile: Profile,
        partition: int,
        space: ItemSpace,
        strength: Strength,
        watch: ShiftWatch,
    ) -> None:
        self.before = profile
        self.examples: list[Example] = []
        self.pulls: list[Pull] = []
        self.in_time: list[InTime] = []
        self.standings: dict[int, Standing] = {}
        self._partition = partition
        self._space, self._strength, self._watch = space, strength, watch
        self._history = -1
        self._steps = list(profile.steps)
        read = profile.readings
        self._told = list(as_read(profile.steps, read)) if read.read else self._steps
        """The same steps, reviews with the ratings that they count as."""
        self._seen = profile.seen
        self._counts = list(profile.counts)
        self._events = profile.events
        self._categories = dict(profile.categories)
        self._brands = dict(profile.brands)
        self._price, self._rating = profile.price, profile.rating
        self._sentiment = profile.sentiment
        self._weights = profile.interests.pulls
        self._ids = profile.ids
        applied = profile.applied if partition == profile.partition else _NO_MARK
        self._offset, self._received_ms = applied.offset, applied.received_ms
        self._sources = dict(profile.sources)
        self._first_ms, self._last_ms = profile.first_ms, profile.last_ms

    def take(self, offset: int, event: Event) -> None:
        """Apply an event, unless it was applied before."""
        event_hash = blake2b(event.event_id.encode(), digest_size=8).digest()
        if self._had(offset, event, event_hash):
            return
        if self._events in MOMENTS and self.examples:
            self.standings[len(self.examples) - 1] = self._standing()
        steps, ts_ms, rating = self._steps, event.ts_ms, event.rating
        at = len(steps)
        if at and ts_ms < steps[-1].ts_ms:
            at = bisect_right(steps, ts_ms, key=_time)
        later_events = len(steps) - at
        self.examples.append(
            Example(
                event_id=event.event_id,
                user_id=event.user_id,
                item_id=event.item_id,
                kind=event.kind,
                ts_ms=ts_ms,
                received_ms=event.received_ms,
                partition=self._partition,
                offset=offset,
                history=tuple(self._told[:at]),
                user_events=self._events,
                rating=rating,
                seen=self._seen if at else b"",
                text=_text(event),
            )
        )
        self._insert(at, Step(event.item_id, event.kind, ts_ms, rating))
        facts, weight = self._space.facts(event.item_id), self._strength.weight(event)
        if weight > 0 and facts.vector_D is not None:
            pull = self._strength.pull(facts.vector_D, weight, self._weights, later_events)
            self.pulls.append(pull)
            self._weights = pull[3]
        if later_events:
            self._history = -1
        else:
            number = self._history_to(event.item_id)
            self.in_time.append(InTime(event, self._events, len(self.pulls), number))
        self._counts[KIND_CODE[event.kind]] += 1
        if facts.category:
            _prefer(self._categories, facts.category, weight)
        if facts.brand:
            _prefer(self._brands, facts.brand, weight)
        price = facts.price if event.price is None else event.price
        if price is not None:
            self._price = self._price.add(price)
        if rating is not None:
            self._rating = self._rating.add(rating)
            self._sentiment = self._sentiment.add(sentiment_of(rating))
        self._ids = (self._ids + event_hash)[-8 * _MAX_IDS :]
        self._offset = offset
        self._received_ms = max(self._received_ms, event.received_ms)
        if not self._events or ts_ms < self._first_ms:
            self._first_ms = ts_ms
        self._last_ms = max(self._last_ms, ts_ms)
        self._events += 1

    def _insert(self, at: int, step: Step) -> None:
        self._steps.insert(at, step)
        if self._told is not self._steps:
            self._told.insert(at, as_read((step,), self.before.readings)[0])
            del self._told[:-MAX_STEPS]
        while len(self._steps) > MAX_STEPS:
            self._seen = remember(self._seen, self._steps.pop(0).item_id)

    def _had(self, offset: int, event: Event, event_hash: bytes) -> bool:
        """Whether an event was applied before; where its record came from is remembered.

        Of a copy too: it may be published again from there once its id is forgotten.
        """
        received_ms = event.received_ms
        if not event.replayed and (raw := _raw_place(event.source)) is not None:
            raw_partition, raw_offset = raw
            sources = self._sources
            mark = sources.get(raw_partition, _NO_MARK)
            if raw_offset <= mark.offset and received_ms <= mark.received_ms:
                return True
            sources.pop(raw_partition, None)
            while len(sources) >= _MAX_SOURCES:
                del sources[next(iter(sources))]  # the one that was used longest ago
            sources[raw_partition] = Mark(raw_offset, max(received_ms, mark.received_ms))
        if offset <= self._offset and received_ms <= self._received_ms:
            return True
        at = self._ids.find(event_hash)
        while at > 0 and at % 8:  # found across two hashes: look on
            at = self._ids.find(event_hash, at + 1)
        return at >= 0

    def _history_to(self, item_id: str) -> int | None:
        """The number of the history that ends with an item; none where it is too short."""
        length = len(self._steps)
        if length < LEAST_PAST + LEAST_RECENT:
            return None
        items = self._watch.items
        if self._history < 0:
            self._history = len(items)
            items += [step.item_id for step in self._steps]
        else:
            items.append(item_id)
        return self._watch.add(max(self._history, len(items) - MAX_STEPS))

    def _standing(self) -> Standing:
        return Standing(
            steps=tuple(self._steps),
            counts=tuple(self._counts),
            price=self._price,
            last_event_id=self.examples[-1].event_id,
            first_ms=self._first_ms,
            last_ms=self._last_ms,
        )

    def profile(self, interests: Interests, shift: ShiftState) -> Profile:
        """The profile after the events, once interests and shifts are known."""
        if not self.examples:
            return msgspec.structs.replace(self.before, sources=self._sources)
        return Profile(
            **self._standing()._asdict(),
            seen=self._seen,
            categories=self._categories,
            brands=self._brands,
            rating=self._rating,
            sentiment=self._sentiment,
            interests=interests,
            shift=shift,
            ids=self._ids,
            partition=self._partition,
            applied=Mark(self._offset, self._received_ms),
            sources=self._sources,
            readings=self.before.readings,
            words=self.before.words,
        )


def _raw_place(source: str) -> tuple[int, int] | None:
    """Where an event's raw record stood: its topic and partition as one number, and its offset."""
    raw, _, offset = source.rpartition("-")
    return (_code_of(raw), int(offset)) if offset.isdecimal() else None


@lru_cache(maxsize=1024)
def _code_of(raw: str) -> int:
    return crc32(raw.encode())


def _prefer(known: dict[str, int], name: str, weight: float) -> None:
    """Let all preferences fade and one grow: thousandths, in whole numbers, of which 8 are kept."""
    for key, value in known.items():
        known[key] = value * _KEEP_PERMILLE // 1000
    known[name] = known.get(name, 0) + round(1000 * weight)
    if len(known) > _MAX_PREFERENCES:
        del known[min(known, key=lambda key: (key == name, known[key], key))]


def _text(event: Event) -> str:
    return f"{event.title}\n{event.text}".strip() if event.title or event.text else ""


def _time(step: Step) -> int:
    return step.ts_ms
