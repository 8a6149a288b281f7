"""Forgetting through the agents: state, row, what comes too late, and what comes after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from features.agent import ProfileAgent
from features.catalog import Catalog
from features.forget import ForgetAgent
from features.interest import InterestConfig
from features.profile_state import decode
from features.store import MemoryStore
from stream.batching import PlainRecord, Record, Run
from stream.broadcast import OnRecord
from stream.choices import Choices
from stream.choices_follow import ChoicesFollower
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import Event, json_encode
from stream.forget import Forgotten
from stream.forget_follow import ForgetFollower
from stream.letters import read_letter
from stream.outgoing import Outgoing
from stream.publish import partition_of

NOW_MS = 1_700_000_000_000
KAFKA = KafkaConfig()
ADA, BOB = "ada", "bob"
HOME = partition_of(b"ada", KAFKA.partitions)


class Away(MemoryStore):
    """A store that is away at its first call of `forget`."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    def forget(self, user_ids: Sequence[str]) -> None:
        if self.away:
            self.away = False
            msg = "the store is away"
            raise Unavailable(msg)
        super().forget(user_ids)


class Table(dict[bytes, bytes]):
    """A table that takes a deletion of what isn't there, as Faust's does."""

    def __delitem__(self, key: bytes, /) -> None:
        self.pop(key, None)


@dataclass
class World:
    """What outlives a process, and one process on it."""

    store: Away = field(default_factory=Away)
    table: Table = field(default_factory=Table)
    shown: Table = field(default_factory=Table)
    topics: dict[str, list[Outgoing]] = field(default_factory=dict)
    scrubbed: list[int] = field(default_factory=list)
    forgotten: Forgotten = field(default_factory=Forgotten)

    def __post_init__(self) -> None:
        clock = ManualClock(NOW_MS)
        self.profile = ProfileAgent(
            kafka=KAFKA,
            table=self.table,
            publisher=self,
            store=self.store,
            catalog=Catalog(64),
            clock=clock,
            interest=InterestConfig(),
            forgotten=self.forgotten,
        )
        self.forget = ForgetAgent(
            kafka=KAFKA,
            tables=[self.table, self.shown],
            scrub=self.scrub,
            publisher=self,
            store=self.store,
            forgotten=self.forgotten,
            lock=self.profile.lock,
            clock=clock,
        )

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        self.topics.setdefault(topic, []).extend(records)

    async def scrub(self, partition: int) -> None:
        assert self.profile.lock.locked(), "a run of events could write the state back"
        self.scrubbed.append(partition)

    def events_of(self, user_id: str) -> int:
        state = self.table.get(user_id.encode())
        return 0 if state is None else decode(state).events


def events(user_id: str, *received_ms: int) -> Run:
    """One event for each time of its raw record."""
    made = [
        Event(
            event_id=f"{user_id}-{at_ms}",
            user_id=user_id,
            item_id="pot",
            kind="click",
            ts_ms=at_ms,
            source=f"tidemill.clicks-0-{at_ms}",
            received_ms=at_ms,
        )
        for at_ms in received_ms
    ]
    records = [PlainRecord(b"", json_encode(e), e.received_ms) for e in made]
    return Run("tidemill.events", HOME, records)


def asked(*user_ids: str, at_ms: int = 100, partition: int = HOME) -> Run:
    values = [b'{"user_id": "%b"}' % user_id.encode() for user_id in user_ids]
    records = [PlainRecord(b"any", value, n, at_ms) for n, value in enumerate(values)]
    return Run("tidemill.forget", partition, records)


def test_who_is_forgotten_starts_from_zero_and_others_stay() -> None:
    async def play(world: World) -> None:
        await world.profile(events(ADA, 10, 20))
        await world.profile(events(BOB, 10, 20))
        world.shown.update({b"ada": b"lists", b"bob": b"lists"})
        await world.forget(asked(ADA))
        assert set(world.shown) == {b"bob"}
        assert (world.events_of(ADA), world.store.read([ADA])) == (0, [None])
        assert b"ada" not in world.table and world.scrubbed == [HOME]
        await world.profile(events(ADA, 101))

    world = World()
    asyncio.run(play(world))
    assert (world.events_of(ADA), world.events_of(BOB)) == (1, 2)


def test_what_was_on_its_way_does_not_bring_anything_back() -> None:
    async def play(world: World) -> None:
        await world.profile(events(ADA, 10))
        await world.forget(asked(ADA, at_ms=100))
        await world.profile(events(ADA, 20, 100, 101))

    world = World()
    asyncio.run(play(world))
    assert world.events_of(ADA) == 1
    assert [row.events for row in world.store.read([ADA]) if row] == [1]
    assert len(world.topics["tidemill.examples"]) == 2  # of 10, and of 101


def test_a_store_that_is_away_is_asked_again_and_nothing_is_half_forgotten() -> None:
    async def play(world: World) -> None:
        await world.profile(events(ADA, 10))
        world.store.away = True
        with pytest.raises(Unavailable):
            await world.forget(asked(ADA))
        await world.profile(events(ADA, 20))  # is dropped already
        await world.forget(asked(ADA))

    world = World()
    asyncio.run(play(world))
    assert (world.events_of(ADA), world.store.read([ADA])) == (0, [None])


def test_a_record_on_a_wrong_partition_goes_to_the_right_one_with_its_time() -> None:
    world = World()
    other = (HOME + 1) % KAFKA.partitions
    asyncio.run(world.forget(asked(ADA, at_ms=77, partition=other)))
    assert [(r.key, r.timestamp_ms) for r in world.topics["tidemill.forget"]] == [(b"ada", 77)]
    assert not world.scrubbed


def test_a_record_that_says_nobody_is_a_dead_letter() -> None:
    world = World()
    run = Run("tidemill.forget", HOME, [PlainRecord(None, b'{"user": "ada"}', 3, 9)])
    asyncio.run(world.forget(run))
    (letter,) = world.topics["tidemill.dead-letters"]
    read = read_letter(PlainRecord(letter.key, letter.value, 0, 0, letter.headers))
    assert (read.source, read.reason) == (f"tidemill.forget-{HOME}-3", "wrong_type")


class Topic:
    """`forget`, as a reader sees it."""

    def __init__(self) -> None:
        self.records: list[object] = []
        self.first = 0
        self._read = 0

    def load(self, on_record: OnRecord, timeout_s: float) -> int:
        return self.poll(on_record, timeout_s)

    def poll(self, on_record: OnRecord, timeout_s: float) -> int:
        fresh, self._read = self.records[self._read :], len(self.records)
        for record in fresh:
            on_record(record)  # type: ignore[arg-type]
        return len(fresh)

    def first_offsets(self) -> dict[int, int]:
        return {0: self.first}

    def close(self) -> None:
        pass


@dataclass
class Lying:
    """A record with its partition, as kafka-python has it."""

    offset: int
    value: bytes
    partition: int = 0
    timestamp: int = 100
    key: bytes | None = None
    headers: tuple[()] = ()


def test_a_worker_knows_whom_its_predecessor_forgot_until_it_is_over() -> None:
    topic, forgotten, copies = Topic(), Forgotten(), list[bytes]()

    async def erase(keys: Sequence[bytes]) -> None:
        copies.extend(keys)

    async def play() -> None:
        follower = ForgetFollower(topic, forgotten, erase)
        topic.records.append(Lying(0, b'{"user_id": "ada"}'))
        await follower.load()
        assert forgotten.covers(ADA, 100) and not forgotten.covers(ADA, 101)
        topic.records.append(Lying(1, b'{"user_id": "bob"}'))
        await follower.look()
        assert forgotten.covers(BOB, 50) and copies == [b"ada", b"bob"]
        topic.first = 1
        await follower.look()
        assert not forgotten.covers(ADA, 100) and forgotten.covers(BOB, 50)

    asyncio.run(play())


def test_what_was_heard_before_the_broker_went_away_stays_known() -> None:
    class Broken(Topic):
        fails = True

        def load(self, on_record: OnRecord, timeout_s: float) -> int:
            count = super().load(on_record, timeout_s)
            if self.fails:
                self.fails = False
                msg = "the end was not reached in time"
                raise Unavailable(msg)
            return count

    async def play() -> None:
        forgotten, choices = Forgotten(), Choices()
        asked, chosen = Broken(), Broken()
        asked.records.append(Lying(0, b'{"user_id": "ada"}'))
        chosen.records.append(Lying(0, b'{"user_id": "ada", "personalised": false}'))
        await ForgetFollower(asked, forgotten).load()
        await ChoicesFollower(chosen, choices).load()
        assert forgotten.covers(ADA, 100) and choices.opted_out(ADA)

    asyncio.run(play())


def test_choices_are_followed_past_a_broker_that_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.follow.RETRY_S", 0.0)
    closed = []

    class Flickering(Topic):
        polls = 0

        def poll(self, on_record: OnRecord, timeout_s: float) -> int:
            self.polls += 1
            if self.polls == 1:
                super().poll(on_record, timeout_s)
                msg = "nobody answers"
                raise Unavailable(msg)
            if self.polls == 3:
                self.records.append(Lying(1, b'{"user_id": "bob", "personalised": false}'))
            return super().poll(on_record, timeout_s)

        def close(self) -> None:
            closed.append(self)

    class Until(Choices):
        def take(self, record: Record) -> bool:
            taken = super().take(record)
            if self.opted_out(BOB):
                stopping.set()
            return taken

    stopping, choices, chosen = asyncio.Event(), Until(), Flickering()
    chosen.records.append(Lying(0, b'{"user_id": "ada", "personalised": false}'))
    asyncio.run(asyncio.wait_for(ChoicesFollower(chosen, choices).follow(stopping), 10))
    assert choices.opted_out(ADA) and choices.opted_out(BOB)
    assert closed == [chosen]
