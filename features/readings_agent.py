"""The part of the profile that hears what reviews say: `readings` in, states, rows and shifts out.

When an offset of `readings` counts as done: after the states that hold it are written.

1. Each user's readings are added to their state; what was heard before changes nothing.
2. Rows of users whose state has changed go to the online store.
3. Interest shifts that show in reviews alone, and their users in words, are published and acked.
4. States are written to the table, once a user.
5. The run is acknowledged, after the table's changelog is on the broker.

A crash before 4 repeats the run on the old states; a shift may then be published twice. A crash
between 4 and 5 repeats it on states that have heard everything. No run of `events` is at work
meanwhile: it would write back states that have not heard.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from features.interest import InterestConfig, ItemSpace
from features.profile import features
from features.profile_state import Profile, decode, encode
from features.readings import Moved, hear
from features.store import OnlineStore, UserFeatures
from features.words import Describer
from stream.batching import Record, Run
from stream.choices import Choices
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Unavailable
from stream.events import InterestShift, Reading, decode_reading
from stream.forget import Forgotten
from stream.metrics import INTEREST_SHIFTS, PROFILE_READINGS, PROFILE_TEXTS
from stream.outgoing import Outgoing, Publishes
from stream.parse_faults import decode_own
from stream.tenants import into, told
from stream.topics import Topics

ROLE = "profile-readings"


class States(Protocol):
    """What hearing needs of a Faust table."""

    def get(self, key: bytes, /) -> bytes | None:
        """The value of a key, `None` if it has none."""

    def __setitem__(self, key: bytes, value: bytes, /) -> None:
        """Write a value."""


@dataclass
class _Outcome:
    rows: list[UserFeatures] = field(default_factory=list)
    states: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    """Of each user: key, state before, state after."""
    shifts: list[Outgoing] = field(default_factory=list)
    words: list[Outgoing] = field(default_factory=list)
    heard: int = 0
    passed: int = 0


class ReadingsAgent:
    """The agent's function, free of Faust: `await agent(run)`.

    Raises `Unavailable` where the broker or the store is away; the same run may then be given
    again. Raises `Halt` where a state can't be read.

    Parameters
    ----------
    lock
        Held while a run of `events` is at work.
    space
        What is known of items.
    describer
        Describes users whose praise moves, unless nobody is to be described.
    """

    def __init__(
        self,
        *,
        kafka: KafkaConfig,
        table: States,
        publisher: Publishes,
        store: OnlineStore,
        space: ItemSpace,
        interest: InterestConfig,
        forgotten: Forgotten,
        lock: asyncio.Lock,
        describer: Describer | None = None,
        choices: Choices | None = None,
    ) -> None:
        self._choices = Choices() if choices is None else choices
        self._topics = Topics(kafka.topic_prefix)
        self._table = table
        self._publisher = publisher
        self._store = store
        self._space = space
        self._interest = interest
        self._forgotten = forgotten
        self._lock = lock
        self._describer = describer

    def prepare(self, run: Run) -> None:
        """Find out whether a run can be heard; nothing is written."""
        self._hear(run)

    async def __call__(self, run: Run) -> None:
        """Take a run through all its steps but the acknowledgement."""
        async with self._lock:
            # 1.
            outcome = self._hear(run)
            # 2. A crash from here to 4 repeats it.
            if outcome.rows:
                await asyncio.to_thread(self._store.write, outcome.rows)
            # 3.
            await self._publisher.publish(self._topics.interest_shifts, outcome.shifts)
            await self._publisher.publish(self._topics.profiles, outcome.words)
            # 4.
            for key, before, after in outcome.states:
                if self._table.get(key) != before:
                    msg = "a state came from another worker amid the run"
                    raise Unavailable(msg)
                self._table[key] = after
        INTEREST_SHIFTS.inc(len(outcome.shifts))
        PROFILE_TEXTS.inc(len(outcome.words))
        PROFILE_READINGS.labels(outcome="heard").inc(outcome.heard)
        PROFILE_READINGS.labels(outcome="passed").inc(outcome.passed)

    def _hear(self, run: Run) -> _Outcome:
        outcome = _Outcome()
        by_user: dict[str, list[Reading]] = {}
        for record in run.records:
            reading = read_reading(record)
            late = self._forgotten.covers(reading.user_id, reading.received_ms)
            if late or self._choices.opted_out(reading.user_id):
                outcome.passed += 1
            else:
                by_user.setdefault(reading.user_id, []).append(reading)
        for user_id, readings in by_user.items():
            key = user_id.encode()
            state = self._table.get(key)
            if state is None:  # forgotten, or the reading of a review that was never applied
                outcome.passed += len(readings)
                continue
            profile = decode(state)
            heard, words = profile.readings, profile.words
            for reading in readings:
                heard, moved = hear(heard, reading, self._category, self._interest)
                if moved is not None:
                    shift = self._report(reading, profile, moved)
                    outcome.shifts.append(Outgoing(key, told(shift, user_id)))
                    if self._describer is not None:
                        now = msgspec.structs.replace(profile, readings=heard)
                        words, text = self._describer.of(user_id, now)
                        outcome.words.append(Outgoing(key, told(text, user_id)))
            outcome.heard += len(readings)
            after = msgspec.structs.replace(profile, readings=heard, words=words)
            # Written even where nothing is new: a write brings a changelog up to its table.
            outcome.states.append((key, state, encode(after)))
            if heard is not profile.readings:
                outcome.rows.append(features(user_id, after))
        return outcome

    def _category(self, item_id: str) -> str:
        return self._space.facts(item_id).category

    def _report(self, reading: Reading, profile: Profile, moved: Moved) -> InterestShift:
        return InterestShift(
            user_id=reading.user_id,
            event_id=reading.event_id,
            ts_ms=reading.ts_ms,
            from_category=moved.move.from_category,
            to_category=moved.move.to_category,
            divergence=moved.evidence,
            usual_divergence=self._interest.shift_evidence_reviews,
            user_events=profile.events,
            received_ms=reading.received_ms,
            evidence=moved.move.evidence,
            source="reviews",
        )


def read_reading(record: Record) -> Reading:
    """Read a reading; its ids then carry its tenant.

    Raises
    ------
    BadRecord
        If it is none.
    """
    reading = decode_own(record.value, decode_reading, "a reading", "the learner")
    for name, least, most in (("rating", 1, 5), ("doubt", 0, 1), ("stars", 1, 5)):
        value = getattr(reading, name)
        if value is not None and not least <= value <= most:
            raise BadRecord(name, value, f"from {least} to {most}", "out_of_range")
    return into(reading, reading.tenant, "user_id", "item_id")
