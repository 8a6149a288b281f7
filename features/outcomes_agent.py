"""The part of the profile that tells what became of what was shown: `outcomes`.

It reads `recommendations` as an agent of its own, and is handed each run of `events` by the profile
before the run is acknowledged: Faust has one offset for both, and an event is done when both are.

When an offset counts as done: after everything that follows from its run is written.

1. The run's records are joined, user by user, and all that is told is made ready.
2. Windows close up to the time that both topics are read to. While events or lists don't come,
   nothing is called passed over: it could be that only its click is late. Events are read to the
   time at which the shop sent what comes now: ingest may have been away, and come late with it.
3. Outcomes are published and acked.
4. Each user's state is written to the table, once.
5. The run is acknowledged, after the table's changelog is on the broker.

A crash before 4 repeats the run on the old states and tells the same again; after it, on states
that know the run's records. When something closes next is kept in memory, a user once, and is found
again by one pass over the table after partitions have moved.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from features.decode_events import decode_events
from features.outcomes import Joined, OutcomesConfig, act, close, due_ms, show
from features.outcomes_state import (
    EMPTY,
    NEVER_MS,
    At,
    Shows,
    decode,
    due_of,
    encode,
    is_older,
)
from features.readings_agent import States
from stream.app import StreamApp, bytes_table, guarded, run_topic
from stream.batching import Record, Run
from stream.choices import Choices
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import Event, Outcome, Recommendation, decode_recommendation
from stream.forget import Forgotten
from stream.metrics import OUTCOMES
from stream.outgoing import Outgoing, Publishes
from stream.parse_faults import decode_own
from stream.publish import partition_of
from stream.refusals import Refusals
from stream.tenants import into, told
from stream.topics import Topics

ROLE = "outcomes"

CLOSE_AT_ONCE = 2_000
"""Users whose windows close in one run at most: the others close in the next one."""

SLICE_MS = 10_000
"""Windows close in slices of this length: what a window may be longer than it is."""

LATE_MS = 60_000
"""An event that comes late tells for so long, or for a click window if that is shorter, that others
of its time may follow: raw topics are read side by side, and not each is as far behind."""

Act = Callable[[Shows], Joined]
"""What a record does to the state of its user."""


class Table(States, Protocol):
    """What the outcomes need of a Faust table."""

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All keys and values of the partitions that this process has."""


@dataclass
class _Work:
    """What a run brings about, before any of it is written."""

    states: dict[bytes, Shows] = field(default_factory=dict)
    held: dict[bytes, bytes | None] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    slices: list[int] = field(default_factory=list)


class Due:
    """Of one partition: whose windows close when, a user once, in slices of time.

    Examples
    --------
    >>> due = Due()
    >>> due.add(b"ann", 25_000), due.add(b"bob", 41_000)
    (None, None)
    >>> list(due.until(39_999)), list(due.until(50_000))
    ([(2, {b'ann'})], [(2, {b'ann'}), (4, {b'bob'})])
    """

    def __init__(self) -> None:
        self._slices: dict[int, set[bytes]] = {}

    def add(self, key: bytes, at_ms: int) -> None:
        """Look at a user when a slice is over."""
        self._slices.setdefault(at_ms // SLICE_MS, set()).add(key)

    def until(self, upto_ms: int) -> Iterator[tuple[int, set[bytes]]]:
        """The slices that are over by a time, oldest first."""
        for number in sorted(self._slices):
            if (number + 1) * SLICE_MS > upto_ms:
                return
            yield number, self._slices[number]

    def drop(self, number: int) -> None:
        """Let a slice go: its users were looked at."""
        self._slices.pop(number, None)


class OutcomesAgent:
    """Two functions over runs, free of Faust: `await agent.shown(run)`, `await agent.acted(run)`.

    Raises `Unavailable` where the broker is away; the same run may then be given again. Raises
    `Halt` where a state can't be read.

    Parameters
    ----------
    table
        A table of its own, with as many partitions as `events`.
    lock
        Held while a user is forgotten, and here while a state is read and written.
    """

    def __init__(
        self,
        *,
        kafka: KafkaConfig,
        table: Table,
        publisher: Publishes,
        config: OutcomesConfig,
        forgotten: Forgotten,
        lock: asyncio.Lock,
        choices: Choices | None = None,
    ) -> None:
        self._choices = Choices() if choices is None else choices
        self._topics = Topics(kafka.topic_prefix)
        self._partitions = kafka.partitions
        self.table = table
        self._publisher = publisher
        self._config = config
        self._forgotten = forgotten
        self._lock = lock
        self._due: dict[int, Due] | None = None
        self._read_ms: dict[tuple[str, int], int] = {}
        self._lately: dict[int, deque[tuple[int, int]]] = {}

    def moved(self) -> None:
        """Take note that partitions have come or gone."""
        self._due = None
        self._read_ms.clear()
        self._lately.clear()

    def prepare_shown(self, run: Run) -> None:
        """Find out whether a run of lists can be joined; nothing is written."""
        self._join(run, self._lists(run))

    def prepare_acted(self, run: Run) -> None:
        """Find out whether a run of events can be joined; nothing is written."""
        self._join(run, self._acts(run, decode_events(run)))

    async def shown(self, run: Run) -> None:
        """Take a run of `recommendations` through all steps but the acknowledgement."""
        async with self._lock:
            place, newest = (run.topic, run.partition), _newest_ms(run)
            self._read_ms[place] = max(newest, self._read_ms.get(place, 0))
            await self._take(run, self._lists(run))

    async def acted(self, run: Run) -> None:
        """Take a run of `events` through all steps but the acknowledgement."""
        async with self._lock:
            events = decode_events(run)
            self._read_ms[run.topic, run.partition] = self._events_upto_ms(run, events)
            await self._take(run, self._acts(run, events))

    async def _take(self, run: Run, joins: Iterable[tuple[str, Act]]) -> None:
        # 1.
        work = self._join(run, joins)
        # 2.
        self._close(run, work)
        # 3. A crash from here to 4 publishes it twice.
        records = [Outgoing(one.user_id.encode(), told(one, one.user_id)) for one in work.outcomes]
        await self._publisher.publish(self._topics.outcomes, records)
        # 4.
        next_ms = {key: due_ms(state, self._config) for key, state in work.states.items()}
        if any(self.table.get(key) != held for key, held in work.held.items()):
            # A rebalance amid the run: what others made of later records is not to be undone.
            msg = "a state came from another worker amid the run"
            raise Unavailable(msg)
        for key, state in work.states.items():
            self.table[key] = encode(state, next_ms[key])
        due = self._dues().setdefault(run.partition, Due())
        for number in work.slices:
            due.drop(number)
        for key, at_ms in next_ms.items():
            if at_ms is not None:
                due.add(key, at_ms)
        for one in work.outcomes:
            OUTCOMES.labels(outcome=_name(one)).inc()

    def _join(self, run: Run, joins: Iterable[tuple[str, Act]]) -> _Work:
        work = _Work()
        for user_id, join in joins:
            key = user_id.encode()
            work.states[key], outcomes = join(self._state(work, key))
            work.outcomes += outcomes
        return work

    def _state(self, work: _Work, key: bytes) -> Shows:
        known = work.states.get(key)
        if known is not None:
            return known
        held = work.held[key] = self.table.get(key)
        return EMPTY if held is None else decode(held)

    def _lists(self, run: Run) -> Iterator[tuple[str, Act]]:
        for record in run.records:
            answer = read_recommendation(record)
            if not self._passes(answer.user_id, answer.ts_ms):
                at = _at(run, record)
                yield answer.user_id, partial(show, answer=answer, at=at, config=self._config)

    def _acts(self, run: Run, events: Sequence[Event]) -> Iterator[tuple[str, Act]]:
        for record, event in zip(run.records, events, strict=True):
            if not self._passes(event.user_id, event.received_ms):
                at = _at(run, record)
                yield event.user_id, partial(act, event=event, at=at, config=self._config)

    def _passes(self, user_id: str, at_ms: int) -> bool:
        """Whether a record leaves no trace: of who is forgotten, or has opted out."""
        return self._forgotten.covers(user_id, at_ms) or self._choices.opted_out(user_id)

    def _close(self, run: Run, work: _Work) -> None:
        """Close what has ended by the time that both topics are read to."""
        both = ((self._topics.events, run.partition), (self._topics.recommendations, run.partition))
        upto_ms = min(self._read_ms.get(one, 0) for one in both)
        closed = 0
        for number, keys in self._dues().setdefault(run.partition, Due()).until(upto_ms):
            if closed >= CLOSE_AT_ONCE:
                return
            for key in keys:
                state = self._state(work, key)
                if state is EMPTY:  # forgotten meanwhile
                    continue
                if self._choices.opted_out(key.decode()):
                    # What they did since wasn't joined: that they passed it over isn't known.
                    work.states[key] = replace(state, lists=(), acts=())
                    continue
                work.states[key], ended = close(state, key.decode(), upto_ms, self._config)
                work.outcomes += ended
            closed += len(keys)
            work.slices.append(number)

    def _events_upto_ms(self, run: Run, events: Sequence[Event]) -> int:
        """Up to when events have come, by the oldest of those that came lately.

        One that is older than any window holds nothing up: it may be a producer's wrong clock.
        """
        newest = _newest_ms(run)
        oldest = min(event.received_ms for event in events)
        oldest = max(oldest, newest - self._config.purchase_ms)
        lately = self._lately.setdefault(run.partition, deque())
        while lately and lately[-1][1] >= oldest:
            lately.pop()
        lately.append((newest, oldest))
        while lately[0][0] < newest - min(LATE_MS, self._config.click_ms):
            lately.popleft()
        return lately[0][1]

    def _dues(self) -> dict[int, Due]:
        """By partition, when something closes next: found by one pass over the table."""
        if self._due is None:
            found: dict[int, Due] = {}
            for key, value in self.table.items():
                if (at_ms := due_of(value)) != NEVER_MS:
                    found.setdefault(partition_of(key, self._partitions), Due()).add(key, at_ms)
            self._due = found
        return self._due


def add_outcomes(
    app: StreamApp,
    *,
    kafka: KafkaConfig,
    publisher: Publishes,
    config: OutcomesConfig,
    forgotten: Forgotten,
    choices: Choices,
    lock: asyncio.Lock,
    clock: Clock,
) -> OutcomesAgent:
    """Put the reader of `recommendations` on an app, with its table; `acted` is the caller's."""
    app.read_committed = True  # answers are written in transactions
    agent = OutcomesAgent(
        kafka=kafka,
        table=bytes_table(app, ROLE, kafka.partitions, older=is_older),
        publisher=publisher,
        config=config,
        forgotten=forgotten,
        choices=choices,
        lock=lock,
    )

    async def shown(run: Run) -> None:
        await agent.shown(run)

    refusals = Refusals(ROLE, kafka, publisher, clock)
    topic = run_topic(app, Topics(kafka.topic_prefix).recommendations)
    app.agent(topic, name=ROLE)(guarded(app, refusals, agent.prepare_shown)(shown))
    return agent


def read_recommendation(record: Record) -> Recommendation:
    """Read an answer, with ids as they are inside.

    Raises
    ------
    BadRecord
        If it is none.
    """
    answer = decode_own(record.value, decode_recommendation, "a recommendation", "serving")
    if not answer.tenant:
        return answer
    items = tuple(into(one, answer.tenant, "item_id") for one in answer.items)
    return replace(into(answer, answer.tenant, "user_id"), items=items)


def _newest_ms(run: Run) -> int:
    return max(record.timestamp for record in run.records)


def _at(run: Run, record: Record) -> At:
    return At(run.partition, record.offset, record.timestamp)


def _name(outcome: Outcome) -> str:
    if outcome.bought_ms is not None:
        return "bought"
    if not outcome.taken:
        return "passed_over"
    return "closed" if outcome.final else "taken"
