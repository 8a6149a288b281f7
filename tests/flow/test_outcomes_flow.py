"""Lists and events through the outcomes' agent, with a broker and a process that fail at times."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from features.outcomes import OutcomesConfig
from features.outcomes_agent import OutcomesAgent
from stream.batching import PlainRecord, Run
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Unavailable
from stream.events import (
    Event,
    Outcome,
    Recommendation,
    RecommendedItem,
    decode_outcome,
    json_encode,
)
from stream.forget import Forgotten
from stream.outgoing import Outgoing
from stream.publish import partition_of

KAFKA = KafkaConfig(partitions=1)
CONFIG = OutcomesConfig(on=True, click_window_s=100.0, purchase_window_s=1_000.0)
LISTS, EVENTS = "tidemill.recommendations", "tidemill.events"


class Killed(BaseException):
    """The process ends here."""


@dataclass
class World:
    """What outlives a process; its n-th effect can be made to fail."""

    fail_at: dict[int, BaseException] = field(default_factory=dict)
    effects: int = 0
    told: list[Outgoing] = field(default_factory=list)
    states: dict[bytes, bytes] = field(default_factory=dict)
    forgotten: Forgotten = field(default_factory=Forgotten)

    def effect(self) -> None:
        self.effects += 1
        failure = self.fail_at.pop(self.effects, None)
        if failure is not None:
            raise failure

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        assert topic == "tidemill.outcomes"
        self.told.extend(records)
        self.effect()

    def get(self, key: bytes, /) -> bytes | None:
        return self.states.get(key)

    def __setitem__(self, key: bytes, value: bytes, /) -> None:
        self.states[key] = value
        self.effect()

    def items(self) -> list[tuple[bytes, bytes]]:
        return list(self.states.items())

    def agent(self) -> OutcomesAgent:
        """A process begins."""
        return OutcomesAgent(
            kafka=KAFKA,
            table=self,
            publisher=self,
            config=CONFIG,
            forgotten=self.forgotten,
            lock=asyncio.Lock(),
        )

    def outcomes(self) -> list[Outcome]:
        return [decode_outcome(record.value or b"") for record in self.told]

    def finals(self) -> set[tuple[str, str, str, int | None]]:
        return {
            (one.user_id, one.recommendation_id, one.item_id, one.clicked_ms)
            for one in self.outcomes()
            if one.final
        }


def lists(*shown: tuple[str, int], at: int = 0) -> Run:
    """A list of two items for each user and time."""
    records = []
    for n, (user, ms) in enumerate(shown):
        made = Recommendation(
            recommendation_id=f"{user}-{ms}",
            request_id=None,
            user_id=user,
            ts_ms=ms,
            items=tuple(RecommendedItem(item_id=one, score=0.5) for one in ("tea", "pot")),
            path="model",
            model_version=1,
        )
        records.append(PlainRecord(user.encode(), json_encode(made), at + n, ms))
    return Run(LISTS, 0, records)


def clicks(*done: tuple[str, str, int], at: int = 0) -> Run:
    records = []
    for n, (user, item, ms) in enumerate(done):
        made = Event(
            event_id=f"{user}-{item}-{ms}",
            user_id=user,
            item_id=item,
            kind="click",
            ts_ms=ms,
            source="tidemill.clicks-0-0",
            received_ms=ms,
        )
        records.append(PlainRecord(user.encode(), json_encode(made), at + n, ms))
    return Run(EVENTS, 0, records)


STORY = [
    lists(("ann", 1_000), ("bob", 2_000)),
    clicks(("ann", "pot", 3_000)),
    lists(("ann", 60_000), at=2),
    clicks(("bob", "tea", 61_000), ("cat", "tea", 120_000), at=1),
    lists(("cat", 150_000), at=3),
    clicks(("cat", "pot", 151_000), at=3),
    lists(("cat", 2_000_000), at=4),
    clicks(("cat", "cup", 2_000_000), at=4),
]
ENDED = {
    ("ann", "ann-1000", "tea", None),
    ("ann", "ann-1000", "pot", 3_000),
    ("bob", "bob-2000", "pot", None),
    ("bob", "bob-2000", "tea", 61_000),
    ("ann", "ann-60000", "tea", None),
    ("ann", "ann-60000", "pot", None),
    ("cat", "cat-150000", "tea", None),
    ("cat", "cat-150000", "pot", 151_000),
}


async def take(agent: OutcomesAgent, run: Run) -> None:
    await (agent.shown(run) if run.topic == LISTS else agent.acted(run))


def test_windows_close_once_both_topics_are_read_so_far() -> None:
    async def story() -> None:
        world = World()
        agent = world.agent()
        for run in STORY:
            await take(agent, run)
            if run is STORY[4]:  # 150 s of lists are read, but 120 s of events
                assert ("cat", "cat-150000", "tea", None) not in world.finals()
        assert world.finals() == ENDED
        finals = [one for one in world.outcomes() if one.final]
        assert len(finals) == len(ENDED)

    asyncio.run(story())


@pytest.mark.parametrize("failure", [Killed(), Unavailable("away")])
@pytest.mark.parametrize("at", range(1, 26, 2))
def test_wherever_it_fails_each_shown_item_has_one_outcome(at: int, failure: BaseException) -> None:
    async def story() -> None:
        world = World(fail_at={at: failure})
        agent = world.agent()
        # After a restart both topics have to be read on before anything closes.
        on = [lists(("dan", 2_000_001), at=5), clicks(("dan", "cup", 2_000_001), at=5)]
        for run in [*STORY, *on, *on]:
            try:
                await take(agent, run)
            except Killed:
                agent = world.agent()
                await take(agent, run)
            except Unavailable:
                await take(agent, run)
        assert world.finals() == ENDED

    asyncio.run(story())


def test_what_ingest_comes_late_with_is_not_passed_over() -> None:
    def late(user: str, item: str, sent_ms: int, came_ms: int, at: int) -> Run:
        run = clicks((user, item, sent_ms), at=at)
        (record,) = run.records
        return Run(EVENTS, 0, [PlainRecord(record.key, record.value, at, came_ms)])

    async def story() -> None:
        world = World()
        agent = world.agent()
        now_ms = 900_000
        # Ingest was away for long: its topic has the time of day, what is in it is old.
        await take(agent, lists(("ann", 1_000), ("bob", 2_000)))
        await take(agent, lists(("cat", now_ms), at=2))
        await take(agent, late("dan", "cup", 500, now_ms, 0))
        # Of a topic that isn't behind.
        await take(agent, late("dan", "mug", now_ms, now_ms + 1, 1))
        await take(agent, late("ann", "tea", 2_000, now_ms + 2, 2))
        assert not world.finals()
        await take(agent, late("dan", "jug", now_ms + 90_000, now_ms + 90_000, 3))
        await take(agent, lists(("cat", now_ms + 90_000), at=3))
        await take(agent, late("dan", "pan", now_ms + 90_001, now_ms + 90_001, 4))
        told = {(one.item_id, one.clicked_ms) for one in world.outcomes() if one.user_id == "ann"}
        assert told == {("tea", 2_000), ("pot", None)}

    asyncio.run(story())


def test_an_event_older_than_any_window_holds_nothing_up() -> None:
    async def story() -> None:
        world = World()
        agent = world.agent()
        await take(agent, lists(("ann", 1_000)))
        await take(agent, lists(("bob", 5_000_000), at=1))
        run = clicks(("dan", "cup", 5))
        (record,) = run.records
        await take(agent, Run(EVENTS, 0, [PlainRecord(record.key, record.value, 0, 5_000_000)]))
        assert {one[0] for one in world.finals()} == {"ann"}

    asyncio.run(story())


def test_a_restart_finds_what_is_open() -> None:
    async def story() -> None:
        world = World()
        agent = world.agent()
        await take(agent, STORY[0])
        agent = world.agent()
        await take(agent, lists(("eve", 500_000), at=2))
        assert not world.told
        await take(agent, clicks(("eve", "cup", 500_000)))
        assert len(world.finals()) == 4

    asyncio.run(story())


def test_a_state_that_came_from_another_worker_amid_the_run_is_not_undone() -> None:
    class Slow(World):
        async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
            await super().publish(topic, records)
            if others is not None:
                self.states[b"ann"] = others

    others: bytes | None = None

    async def story() -> None:
        nonlocal others
        world = Slow()
        agent = world.agent()
        await take(agent, lists(("ann", 1_000)))
        first = world.states[b"ann"]
        await take(agent, lists(("ann", 2_000), at=1))
        others, world.states[b"ann"] = world.states[b"ann"], first
        with pytest.raises(Unavailable):
            await take(agent, clicks(("ann", "tea", 1_500)))
        assert world.states[b"ann"] == others

    asyncio.run(story())


def test_of_who_is_forgotten_nothing_is_told() -> None:
    async def story() -> None:
        world = World()
        agent = world.agent()
        await take(agent, STORY[0])
        world.forgotten.add("ann", 2_500, partition=0, offset=0)
        del world.states[b"ann"]
        await take(agent, lists(("ann", 2_400), ("bob", 900_000), at=2))
        await take(agent, clicks(("ann", "tea", 2_450)))
        await take(agent, clicks(("bob", "cup", 900_000), at=1))
        assert {one[0] for one in world.finals()} == {"bob"}
        assert b"ann" not in world.states

    asyncio.run(story())


def test_what_is_no_list_is_refused_before_it_has_an_effect() -> None:
    world = World()
    run = Run(LISTS, 0, [PlainRecord(b"ann", b"{}", 0, 1)])
    with pytest.raises(BadRecord):
        world.agent().prepare_shown(run)
    assert not world.states


def test_a_tenants_lists_meet_its_own_events_alone() -> None:
    async def story() -> None:
        world = World()
        agent = world.agent()
        run = lists(("ada", 1_000))
        (record,) = run.records
        shown = msgspec.json.decode(record.value or b"", type=Recommendation)
        ours = json_encode(msgspec.structs.replace(shown, tenant="acme"))
        await agent.shown(Run(LISTS, 0, [PlainRecord(b"ada", ours, 0, 1_000)]))
        await agent.acted(clicks(("ada", "tea", 2_000), ("acme\x1fada", "acme\x1fpot", 3_000)))
        (told,) = world.outcomes()
        assert (told.tenant, told.user_id, told.item_id) == ("acme", "ada", "pot")
        assert world.told[0].key == b"acme\x1fada"
        assert partition_of(b"acme\x1fada", 1) == 0

    asyncio.run(story())
