"""Several shops' learners on one topic: whatever dies when, each learns its own events once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalog import Catalog
from learner import examples_agent
from learner.examples_agent import ExamplesAgent
from learner.shops_agent import MARK_EVERY_S, ShopsAgent, folder_of
from learner.snapshot import Snapshots
from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.events import Example, msgpack_encode
from stream.outgoing import Outgoing
from stream.tenants import inside
from tests.simulation.learner_worker import (
    CONFIG,
    PlainLearner,
    PlainVersions,
    plain_learners,
)

TENANTS = ("acme", "brew")
SHOPS = ("", *TENANTS)


class Killed(Exception):
    """The process is gone."""


class Receipt:
    def __init__(self, end: int) -> None:
        self.end = end
        self.acked = False

    def ack(self) -> None:
        self.acked = True


class Nowhere:
    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Send nothing."""


class QuietVersions(PlainVersions):
    async def make_live(self, *_: Any) -> None:
        """Nobody is told."""

    async def say(self) -> None:
        """Nothing is said."""


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    """Learners that only count, but write real checkpoints."""
    with plain_learners():
        vars(examples_agent).update(Snapshots=Snapshots, VersionsAgent=QuietVersions)
        yield


def example(shop: str, offset: int, partition: int) -> PlainRecord:
    made = Example(
        event_id="e",
        user_id=inside(shop, "ada"),
        item_id=inside(shop, "pot"),
        kind="click",
        ts_ms=offset,
        received_ms=offset,
        partition=partition,
        offset=offset,
        history=(),
        user_events=0,
    )
    return PlainRecord(None, msgpack_encode(made), offset)


class World:
    """A log of examples in two partitions, and the lives of one learner process that reads it."""

    def __init__(self, folder: Path, log: Sequence[Sequence[str]]) -> None:
        self.folder = folder
        self.log = log
        self.clock = ManualClock()
        self.committed: dict[int, int | None] = dict.fromkeys(range(len(log)))
        self.writes_left = 10**6
        self.start()

    def start(self) -> None:
        """A new process on what the last one left."""
        self.learners: dict[str, Any] = {}
        self.receipts: dict[int, list[Receipt]] = {n: [] for n in range(len(self.log))}
        lock = asyncio.Lock()

        def make(tenant: str) -> ExamplesAgent:
            catalog = Catalog(2)
            self.learners[tenant] = learner = PlainLearner(catalog)
            agent = ExamplesAgent(
                kafka=KafkaConfig(),
                learner=learner,  # type: ignore[arg-type]
                publisher=Nowhere(),
                folder=folder_of(self.folder, tenant),
                clock=self.clock,
                tenant=tenant,
                lock=lock,
            )
            agent._checkpoints = Dying(agent._checkpoints, self)  # type: ignore[assignment]
            return agent

        self.agent = ShopsAgent(
            kafka=KafkaConfig(),
            publisher=Nowhere(),
            clock=self.clock,
            folder=self.folder,
            lock=lock,
            make=make,
            tenants=TENANTS,
        )
        starts = self.agent.start_offsets(self.committed)
        self.position = {n: starts.get(n, self.committed[n] or 0) for n in range(len(self.log))}
        self.agent.restore()

    async def read(self, partition: int, count: int) -> None:
        at = self.position[partition]
        some = [
            example(shop, at + n, partition)
            for n, shop in enumerate(self.log[partition][at : at + count])
        ]
        if some:
            self.position[partition] = at + len(some)
            receipt = Receipt(at + len(some))
            self.receipts[partition].append(receipt)
            await self.agent.take(Run("examples", partition, some), receipt)

    def commit(self) -> None:
        for partition, receipts in self.receipts.items():
            while receipts and receipts[0].acked:
                self.committed[partition] = receipts.pop(0).end

    def learnt(self) -> dict[str, int]:
        """How many examples' effects each shop's learner has: those that wait for items, too."""
        return {shop: learner.learnt + learner.waiting for shop, learner in self.learners.items()}


class Dying:
    """Checkpoints in whose writing the process may die: before, or right after."""

    def __init__(self, inner: Any, world: World) -> None:
        self._inner, self._world = inner, world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, number: int, saved: Any) -> None:
        self._world.writes_left -= 1
        if self._world.writes_left == 0:
            raise Killed
        self._inner.write(number, saved)
        if self._world.writes_left == -1:
            raise Killed


STEPS = st.one_of(
    st.tuples(st.just("read"), st.integers(0, 1), st.integers(1, 9)),
    st.tuples(st.just("tick"), st.sampled_from([1.0, 6.0, 21.0])),
    st.tuples(st.just("commit")),
    st.tuples(st.just("mark")),
    st.tuples(st.just("kill")),
    st.tuples(st.just("die at write"), st.integers(1, 3)),
    st.tuples(st.just("damage"), st.sampled_from(SHOPS)),
    st.tuples(st.just("drain")),
)
LOGS = st.lists(st.sampled_from([*SHOPS, *"   "]).map(str.strip), min_size=5, max_size=60)


async def live(world: World, steps: Sequence[tuple[Any, ...]]) -> None:
    for step in steps:
        try:
            match step:
                case ("read", partition, count):
                    await world.read(partition, count)
                case ("tick", seconds):
                    world.clock.advance(seconds)
                    await world.agent.tick()
                case ("commit",):
                    world.commit()
                case ("mark",):
                    await world.agent.mark()
                case ("die at write", writes):
                    world.writes_left = writes
                case ("damage", shop):
                    _damage(folder_of(world.folder, shop) / "checkpoints")
                    world.start()
                case ("drain",):
                    await world.agent.drain()
                case _:
                    world.start()
        except Killed:
            world.writes_left = 10**6
            world.start()
    world.writes_left = 10**6
    for partition, records in enumerate(world.log):
        while world.position[partition] < len(records):
            await world.read(partition, 20)
    await world.agent.drain()
    world.commit()


def _damage(folder: Path) -> None:
    """The newest of a shop's checkpoints is not whole, unless it is its only one."""
    numbers = Snapshots(folder, keep=3).numbers()
    if len(numbers) > 1:
        (Snapshots(folder, keep=3).path(numbers[-1]) / "manifest.json").write_bytes(b"{")


@settings(max_examples=40, deadline=None)
@given(st.tuples(LOGS, LOGS), st.lists(STEPS, max_size=30))
def test_whatever_dies_when_each_shop_learns_its_own_events_and_each_once(
    log: tuple[list[str], list[str]], steps: list[tuple[Any, ...]]
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder), log)
        asyncio.run(live(world, steps))
        said = [shop for records in log for shop in records]
        wanted = {shop: said.count(shop) for shop in SHOPS if shop in said}
        assert world.learnt() == wanted | {shop: 0 for shop in world.learners if shop not in said}
        assert not any(world.receipts.values())  # nothing is left unacknowledged


def test_a_run_is_acknowledged_by_the_last_shop_that_has_some_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, [["acme", "brew", "acme"], ["acme"]])
        await world.read(0, 3)
        [receipt] = world.receipts[0]
        await world.agent.agents["acme"].publish()
        assert not receipt.acked
        await world.agent.agents["brew"].publish()
        assert receipt.acked
        assert "" not in world.agent.agents  # nobody needs it

    asyncio.run(story())


def test_a_crash_between_two_shops_checkpoints_loses_neither_ones_events(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, [["acme", "brew"] * 5, ["acme"]])
        await world.read(0, 10)
        await world.agent.agents["acme"].publish()
        world.start()
        assert world.position[0] == 0  # brew has no checkpoint, and nothing was committed
        await world.read(0, 10)
        await world.agent.drain()
        assert world.learnt() == {"acme": 5, "brew": 5}

    asyncio.run(story())


def test_a_shop_that_is_idle_for_days_does_not_bring_days_back(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, [["brew"] + ["acme"] * 100, ["acme"]])
        await world.read(0, 1)
        await world.agent.drain()
        await world.read(0, 80)
        world.clock.advance(CONFIG.publish_every_s + MARK_EVERY_S)
        await world.agent.tick()
        world.commit()
        world.start()
        assert world.position[0] == 81
        # A mark that isn't of the checkpoint that is there says nothing.
        (tmp_path / "idle.json").write_bytes(b'{"brew":{"checkpoint":9,"consumed":{"0":81}}}')
        world.start()
        assert world.position[0] == 1

    asyncio.run(story())


@pytest.mark.parametrize("content", [b"", b"{", b'{"brew":{}}', b"\xff\x00"])
def test_marks_that_cant_be_read_are_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "idle.json").write_bytes(content)
    assert World(tmp_path, [["acme"], []]).position == {0: 0, 1: 0}


def test_examples_of_a_shop_that_is_no_more_are_left_out_and_acknowledged(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, [["gone", "gone"], []])
        await world.read(0, 2)
        assert world.receipts[0][0].acked
        assert world.learnt() == {}

    asyncio.run(story())


def test_forgetting_a_user_of_one_shop_leaves_the_others_alone(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, [["acme", "brew", ""], []])
        await world.read(0, 3)
        asked: list[tuple[str, set[str]]] = []
        for tenant, agent in world.agent.agents.items():

            async def forget(users: Any, tenant: str = tenant) -> None:
                asked.append((tenant, set(users)))

            agent.forget = forget  # type: ignore[method-assign, assignment]
        await world.agent.forget({inside("acme", "ada"), inside("gone", "ada")})
        assert asked == [("acme", {inside("acme", "ada")})]

    asyncio.run(story())
