"""Events through the profile's agent, with a broker, a store and a process that fail at times."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from features.agent import ProfileAgent
from features.catalog import Catalog
from features.catalog_follow import CatalogFollower, take_records
from features.interest import InterestConfig
from features.profile import AppliedAll, InterestModel, Users, apply_all
from features.store import MemoryStore, UserFeatures
from stream.batching import PlainRecord, Record, Run
from stream.choices import Choices
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.errors import Halt, Unavailable
from stream.events import (
    Event,
    Example,
    ItemVector,
    decode_example,
    decode_shift,
    json_encode,
    msgpack_encode,
)
from stream.letters import put_back, read_letter
from stream.outgoing import Outgoing
from stream.refusals import Refusals, Sifting
from stream.topics import REPLAYABLE

START_MS = 1_700_000_000_000
WIDTH = 64


class Killed(BaseException):
    """The process ends here: nothing that comes after it happens."""


@dataclass
class World:
    """All that outlives a process: topics, store, table. Its n-th effect can be made to fail."""

    fail_at: dict[int, BaseException] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)
    topics: dict[str, list[Outgoing]] = field(default_factory=dict)
    rows: MemoryStore = field(default_factory=MemoryStore)
    states: dict[bytes, bytes] = field(default_factory=dict)

    def effect(self, name: str) -> None:
        """Note an effect, after which, or instead of which, the process may end."""
        self.effects.append(name)
        failure = self.fail_at.pop(len(self.effects), None)
        if failure is not None:
            raise failure

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        if records:
            self.topics.setdefault(topic, []).extend(records)
            self.effect(topic)

    def write(self, rows: Sequence[UserFeatures]) -> None:
        self.rows.write(rows)
        self.effect("store")

    def read(self, user_ids: Sequence[str]) -> list[UserFeatures | None]:
        return self.rows.read(user_ids)

    def forget(self, user_ids: Sequence[str]) -> None:
        self.rows.forget(user_ids)
        self.effect("store")

    def close(self) -> None:
        pass

    def get(self, key: bytes, /) -> bytes | None:
        return self.states.get(key)

    def __setitem__(self, key: bytes, value: bytes, /) -> None:
        self.states[key] = value
        self.effect("table")

    def __delitem__(self, key: bytes, /) -> None:
        self.states.pop(key, None)
        self.effect("table")

    def items(self) -> list[tuple[bytes, bytes]]:
        return list(self.states.items())

    def examples(self) -> list[Example]:
        return [decode_example(r.value or b"") for r in self.topics.get("tidemill.examples", [])]


def items() -> list[ItemVector]:
    """Tea and bikes, at right angles, ten of each."""
    axes = np.eye(WIDTH, dtype="<f2")
    return [
        ItemVector(
            item_id=f"{name}-{n}",
            vector=axes[axis].tobytes(),
            encoder="test",
            text_hash="",
            first_seen_ms=0,
            category=(name,),
        )
        for axis, name in enumerate(("tea", "bikes"))
        for n in range(10)
    ]


def make_agent(world: World, choices: Choices | None = None) -> ProfileAgent:
    """A process that starts: all its memory is new, the world is what it was."""
    catalog = Catalog(WIDTH)
    catalog.upsert(items())
    return ProfileAgent(
        kafka=KafkaConfig(),
        table=world,
        publisher=world,
        store=world,
        catalog=catalog,
        clock=ManualClock(START_MS),
        interest=InterestConfig(),
        choices=choices,
    )


def event(n: int, user_id: str, item_id: str) -> Event:
    return Event(
        event_id=f"event-{n}",
        user_id=user_id,
        item_id=item_id,
        kind="click",
        ts_ms=START_MS + 1000 * n,
        source=f"tidemill.clicks-0-{n}",
        received_ms=START_MS + 1000 * n,
    )


def run_of(events: Sequence[Event], first_offset: int = 0) -> Run:
    records = [
        PlainRecord(e.user_id.encode(), json_encode(e), first_offset + n)
        for n, e in enumerate(events)
    ]
    return Run("tidemill.events", 2, records)


EVENTS = [event(n, ("ada", "bob", "cy")[n % 3], f"tea-{n % 10}") for n in range(30)]
RUNS = [run_of(EVENTS[at : at + 10], at) for at in range(0, 30, 10)]


async def drive(world: World, runs: Sequence[Run]) -> int:
    """Run after run, each again until it is done, a new process after each kill."""
    agent, failures = make_agent(world), 0
    for run in runs:
        while True:
            try:
                await agent(run)
            except Unavailable:
                failures += 1
            except Killed:
                failures += 1
                agent = make_agent(world)
            else:
                break
    return failures


def clean_world() -> World:
    world = World()
    assert asyncio.run(drive(world, RUNS)) == 0
    return world


def test_effects_come_in_the_order_that_a_crash_can_bear() -> None:
    world = World()
    asyncio.run(drive(world, RUNS[:1]))
    assert world.effects == ["store", "tidemill.examples", "table", "table", "table"]


@pytest.mark.parametrize("failure", [Killed(), Unavailable("away")])
@pytest.mark.parametrize("at", range(1, len(clean_world().effects) + 1))
def test_wherever_it_fails_each_event_counts_once(at: int, failure: BaseException) -> None:
    clean, world = clean_world(), World(fail_at={at: failure})
    assert asyncio.run(drive(world, RUNS)) == 1
    assert world.states == clean.states
    users = ["ada", "bob", "cy"]
    assert world.read(users) == clean.read(users)
    by_offset = {example.offset: example for example in world.examples()}
    assert [by_offset[n] for n in sorted(by_offset)] == clean.examples()
    # A repeated example is the same example.
    assert all(example == by_offset[example.offset] for example in world.examples())


def test_a_repeated_run_writes_its_states_again_for_the_changelog() -> None:
    world = World()
    asyncio.run(drive(world, [RUNS[0], RUNS[0]]))
    # The second time: rows and states, and no example.
    assert world.effects[5:] == ["store", "table", "table", "table"]
    assert len(world.examples()) == 10


def test_runs_cut_elsewhere_after_a_crash_change_nothing() -> None:
    clean, world = clean_world(), World(fail_at={3: Killed()})
    again = [run_of(EVENTS[at : at + 7], at) for at in range(0, 30, 7)]
    assert asyncio.run(drive(world, [RUNS[0], *again])) == 1
    assert world.states == clean.states


def test_every_example_tells_what_was_known_before() -> None:
    examples = clean_world().examples()
    assert [e.offset for e in examples] == list(range(30))
    assert all(e.partition == 2 for e in examples)
    third = examples[6]
    assert third.user_id == "ada"
    assert [step.item_id for step in third.history] == ["tea-0", "tea-3"]
    assert third.user_events == 2


def test_serving_finds_the_newest_event() -> None:
    (row,) = clean_world().read(["ada"])
    assert row is not None
    assert (row.events, row.last_event_id, row.top_category) == (10, "event-27", "tea")


def test_a_shift_is_told_with_its_evidence() -> None:
    world = World()
    tastes = [event(n, "ada", f"tea-{n % 10}") for n in range(30)]
    tastes += [event(30 + n, "ada", f"bikes-{n}") for n in range(10)]
    asyncio.run(drive(world, [run_of(tastes)]))
    (record,) = world.topics["tidemill.interest-shifts"]
    assert record.key == b"ada"
    shift = decode_shift(record.value or b"")
    assert (shift.from_category, shift.to_category) == ("tea", "bikes")
    assert 30 < shift.user_events <= 40
    assert shift.evidence
    assert all(item.startswith("bikes-") for item in shift.evidence)
    (row,) = world.read(["ada"])
    assert row is not None
    assert (row.shifts, row.last_shift_to) == (1, "bikes")


def hostile(**changes: object) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(EVENTS[0]) | changes)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "must be an event"),
        (b"{", "must be JSON"),
        (b'{"event_id": 1}', "an event as ingest writes it"),
        (b"\xff", "must be JSON"),
        (hostile(user_id=""), "1 to 256"),
        (hostile(user_id="u" * 300), "1 to 256"),
        (hostile(ts_ms=2**63), "from 1970 to 5138"),
        (hostile(received_ms=-1), "from 1970 to 5138"),
    ],
)
def test_what_is_no_event_goes_to_the_dead_letters(value: bytes | None, words: str) -> None:
    world = World()
    records = [PlainRecord(b"ada", json_encode(EVENTS[0]), 0), PlainRecord(b"ada", value, 1)]
    sift(world, make_agent(world), Run("tidemill.events", 2, records))
    (letter,) = world.topics["tidemill.dead-letters"]
    headers = dict(letter.headers)
    assert letter.value == value
    assert headers["tidemill.dlq.reason"] == b"failed"
    assert headers["tidemill.dlq.attempt"] == b"3"
    assert headers["__connect.errors.offset"] == b"1"
    assert words.encode() in (headers["__connect.errors.exception.message"] or b"")
    assert [e.event_id for e in world.examples()] == ["event-0"]


def sift(world: World, agent: ProfileAgent, run: Run) -> None:
    """Take a run to its end as the role does: what fails is refused."""

    async def at_once(_seconds: float) -> None:
        pass

    refusals = Refusals("profile", KafkaConfig(), world, ManualClock(START_MS))
    asyncio.run(Sifting(refusals, run, agent, at_once, agent.prepare)())


def test_an_event_on_which_our_own_code_fails_costs_its_neighbours_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clean, world = World(), World()
    others = [e for e in EVENTS if e.event_id not in ("event-7", "event-12")]
    for e in others:
        asyncio.run(make_agent(clean)(run_of([e], EVENTS.index(e))))

    def faulty(users: Users, partition: int, model: InterestModel) -> list[AppliedAll]:
        for event in (event for _, events in users for _, event in events):
            if event.event_id in ("event-7", "event-12"):
                raise ZeroDivisionError(event.event_id)
        return apply_all(users, partition, model)

    monkeypatch.setattr("features.agent.apply_all", faulty)
    agent = make_agent(world)
    sift(world, agent, run_of(EVENTS))
    assert world.states == clean.states
    assert world.read(["ada", "bob", "cy"]) == clean.read(["ada", "bob", "cy"])
    assert world.examples() == clean.examples()
    letters = world.topics["tidemill.dead-letters"]
    assert [letter.value for letter in letters] == [json_encode(EVENTS[n]) for n in (7, 12)]

    # After the fix the letters go to `events` again, behind all others. Each counts once, even if
    # it is sent twice.
    monkeypatch.undo()
    spec = REPLAYABLE["events"]
    again: list[Record] = []
    for letter in 2 * letters:
        read = read_letter(PlainRecord(letter.key, letter.value, 0, 0, letter.headers))
        back = put_back(read, spec, 4, START_MS)
        assert back.partition == 2
        offset = 100 + len(again)
        again.append(PlainRecord(back.key, back.value, offset, 0, back.headers))
    sift(world, make_agent(world), Run("tidemill.events", 2, again))
    assert sorted(e.event_id for e in world.examples()) == sorted(e.event_id for e in EVENTS)
    rows = {row.user_id: row.events for row in world.read(["ada", "bob", "cy"]) if row}
    assert rows == {"ada": 10, "bob": 10, "cy": 10}


def test_an_event_made_of_a_replayed_record_counts_though_its_neighbours_came_first() -> None:
    late = EVENTS[4]
    world = World()
    first = [e for e in EVENTS if e is not late]
    asyncio.run(drive(world, [run_of(first)]))
    # Ingest names it after its first place, which lies before what was applied from there.
    replayed = msgspec.structs.replace(late, replayed=True)
    asyncio.run(drive(world, [run_of([replayed, replayed], 100)]))
    assert [e.event_id for e in world.examples()][29:] == [late.event_id]
    (row,) = world.read([late.user_id])
    assert row is not None
    assert row.events == 10
    # The source's mark stays where it was: a copy of a neighbour is still known for one.
    copy = msgspec.structs.replace(EVENTS[28], event_id="another")
    asyncio.run(drive(world, [run_of([copy], 200)]))
    assert len(world.examples()) == 30


def test_a_row_that_the_store_cannot_take_leaves_nothing_half_done() -> None:
    class Picky(World):
        def write(self, rows: Sequence[UserFeatures]) -> None:
            if any(row.user_id == "bob" for row in rows):
                message = "no row of bob can be written"
                raise ValueError(message)
            super().write(rows)

    world = Picky()
    sift(world, make_agent(world), RUNS[0])
    assert set(world.states) == {b"ada", b"cy"}
    assert {example.user_id for example in world.examples()} == {"ada", "cy"}
    assert len(world.topics["tidemill.dead-letters"]) == 3


def test_a_state_that_cannot_be_read_stops_the_process() -> None:
    world = World(states={b"ada": b"rubbish"})
    with pytest.raises(Halt):
        asyncio.run(make_agent(world)(RUNS[0]))
    assert world.effects == []


# The catalogue ----------------------------------------------------------------------------------


class Script:
    """A reader whose answers are given; an answer may be an error."""

    def __init__(self, answers: list[list[Record] | Unavailable], stopping: asyncio.Event) -> None:
        self.answers, self.stopping, self.calls = answers, stopping, list[str]()

    def answer(self, name: str, on_record: object) -> int:
        assert callable(on_record)
        self.calls.append(name)
        answer = self.answers.pop(0)
        if not self.answers:
            self.stopping.set()
        if isinstance(answer, Unavailable):
            raise answer
        for record in answer:
            on_record(record)
        return len(answer)

    def load(self, on_record: object, timeout_s: float) -> int:
        return self.answer("load", on_record)

    def poll(self, on_record: object, timeout_s: float) -> int:
        return self.answer("poll", on_record)

    def close(self) -> None:
        self.calls.append("close")


def test_the_catalogue_follows_its_topic() -> None:
    async def follow() -> tuple[Catalog, list[str], bool]:
        stopping, catalog = asyncio.Event(), Catalog(WIDTH)
        tea, bike = items()[0], items()[10]
        load: list[Record] = [
            PlainRecord(b"tea-0", msgpack_encode(tea), 0),
            PlainRecord(b"?", b"\xc1 no item", 1),
        ]
        news: list[Record] = [
            PlainRecord(b"tea-0", None, 2),
            PlainRecord(b"bikes-0", msgpack_encode(bike), 3),
        ]
        script = Script([load, news], stopping)
        follower = CatalogFollower(script, catalog)
        await follower.follow(stopping)
        return catalog, script.calls, follower.loaded.is_set()

    catalog, calls, loaded = asyncio.run(follow())
    assert calls == ["load", "poll", "close"]
    assert loaded
    assert catalog.available.tolist() == [False, True]


def test_vectors_of_another_encoder_stop_the_process() -> None:
    with pytest.raises(Halt, match="was the encoder changed"):
        take_records(Catalog(32), [PlainRecord(b"tea-0", msgpack_encode(items()[0]), 0)])
