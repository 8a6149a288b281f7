"""The learner's agents without Kafka: what they publish, in which order, and after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from features.catalogs import Catalogs
from learner.catalogue_agent import CatalogueAgent
from learner.config import CandidateConfig, LearnerConfig, ModelConfig, TrainConfig
from learner.examples_agent import ExamplesAgent
from learner.online import OnlineLearner
from learner.shops_agent import ShopsAgent
from learner.snapshot import load_version
from learner.state import save_learner
from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import (
    AdapterVersion,
    Example,
    Item,
    ItemVector,
    Step,
    decode_adapter,
    decode_item_vector,
    json_encode,
    msgpack_encode,
)
from stream.metrics import LEARNER_EXAMPLES
from stream.outgoing import Outgoing
from stream.topics import Topics
from stream.variants import everybody

TOPICS = Topics()
WIDTH = 8
CONFIG = LearnerConfig(
    device="cpu",
    model=ModelConfig(width=8, layers=1, heads=1, lora_rank=2, candidates=CandidateConfig()),
    train=TrainConfig(batch=16, listed=8, negatives=8, replays=1),
    publish_every_s=5.0,
    max_wait_s=0.5,
)


class Wire:
    """What was published, in order; fails at the publish of a topic where it is told to."""

    def __init__(self, fail_at: str = "") -> None:
        self.sent: list[tuple[str, Outgoing]] = []
        self.fail_at = fail_at

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        if records and topic == self.fail_at:
            raise KilledError
        self.sent += [(topic, record) for record in records]

    def values(self, topic: str) -> list[bytes | None]:
        return [record.value for name, record in self.sent if name == topic]

    def versions(self) -> list[AdapterVersion]:
        return [decode_adapter(value or b"") for value in self.values(TOPICS.adapters)]


class KilledError(Exception):
    """Stands for kill -9: nothing catches it."""


class Letters:
    """An encoder whose vectors can be read: how often each of the first letters occurs."""

    name = "letters"

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        self.encoded += texts
        counts = np.array([[t.lower().count(c) for c in "abcdefgh"] for t in texts], np.float32)
        norms = np.linalg.norm(counts, axis=1, keepdims=True)
        return (counts / np.where(norms > 0, norms, 1)).astype(np.float16)


def catalogue(items: int = 40) -> Catalog:
    catalog = Catalog(WIDTH)
    vectors = np.random.default_rng(1).normal(size=(items, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    catalog.upsert(
        [
            ItemVector(
                item_id=f"i{n}",
                vector=vectors[n].astype("<f2").tobytes(),
                encoder="letters",
                text_hash="",
                first_seen_ms=0,
            )
            for n in range(items)
        ]
    )
    return catalog


def example(n: int) -> Example:
    history = tuple(Step(f"i{(n - k) % 40}", "click", 1_000 * (n - k)) for k in range(5, 0, -1))
    return Example(
        event_id=f"e{n}",
        user_id=f"u{n % 7}",
        item_id=f"i{n % 40}",
        kind="click",
        ts_ms=1_000 * n,
        received_ms=1_000 * n,
        partition=n % 2,
        offset=n,
        history=history,
        user_events=5,
    )


def runs(start: int, end: int) -> list[Run]:
    """Runs of ten examples of one partition; their place in `examples` is not that in `events`."""
    made = []
    for partition in (0, 1):
        own = [n for n in range(start, end) if n % 2 == partition]
        records = [
            PlainRecord(f"u{n % 7}".encode(), msgpack_encode(example(n)), 3 * n) for n in own
        ]
        made += [
            Run(TOPICS.examples, partition, records[at : at + 10])
            for at in range(0, len(records), 10)
        ]
    return made


def taught_wrong(start: int, end: int) -> list[Run]:
    """Runs whose items have nothing to do with what came before them."""
    random = np.random.default_rng(start)
    records = [
        PlainRecord(
            b"u",
            msgpack_encode(
                msgspec.structs.replace(example(n), item_id=f"i{random.integers(40)}", partition=0)
            ),
            3 * n,
        )
        for n in range(start, end)
    ]
    return [Run(TOPICS.examples, 0, records[at : at + 10]) for at in range(0, len(records), 10)]


class Receipt:
    """Stands for the delivery of a run; remembers whether it was acknowledged."""

    def __init__(self) -> None:
        self.acked = False

    def ack(self) -> bool:
        self.acked = True
        return True


def of_one_shop(agent: ExamplesAgent, wire: Wire, folder: Path) -> ShopsAgent:
    """What gives an agent its runs."""
    return ShopsAgent(
        kafka=KafkaConfig(),
        publisher=wire,
        clock=ManualClock(),
        folder=folder,
        lock=agent.lock,
        make=lambda _: agent,
    )


class Process:
    """One life of the learner role on a folder."""

    def __init__(
        self,
        folder: Path,
        wire: Wire,
        clock: ManualClock,
        teaches: Callable[[str], bool] = everybody,
    ) -> None:
        self.wire, self.clock = wire, clock
        self.learner = OnlineLearner(catalogue(), CONFIG)
        self.agent = ExamplesAgent(
            kafka=KafkaConfig(),
            learner=self.learner,
            publisher=wire,
            folder=folder,
            clock=clock,
            teaches=teaches,
        )
        self.agent.restore()
        self.shops = of_one_shop(self.agent, wire, folder)

    async def take(self, given: Sequence[Run]) -> list[Receipt]:
        receipts = []
        for run in given:
            receipts.append(Receipt())
            await self.shops.take(run, receipts[-1])
        return receipts


def after(given: Sequence[Run], starts: dict[int, int]) -> list[Run]:
    """What a consumer that starts at these offsets is given."""
    left = []
    for run in given:
        start = starts.get(run.partition, 0)
        records = [record for record in run.records if record.offset >= start]
        if records:
            left.append(Run(run.topic, run.partition, records))
    return left


def arrays_of(learner: OnlineLearner) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in save_learner(learner).arrays.items()}


def test_a_run_is_acknowledged_only_with_the_version_that_has_learnt_it(tmp_path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        process = Process(tmp_path, Wire(), clock)
        receipts = await process.take(runs(0, 60))
        assert not any(receipt.acked for receipt in receipts)
        assert process.wire.versions() == []
        clock.advance(5.0)
        await process.agent.tick()
        assert all(receipt.acked for receipt in receipts)
        (version,) = process.wire.versions()
        assert (version.learnt, version.offsets) == (60, {"0": 59, "1": 60})
        assert load_version(version).meta["learnt"] == 60

    asyncio.run(story())


def test_those_of_another_variant_teach_nothing_and_are_dealt_with_all_the_same(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        clock = ManualClock()
        process = Process(tmp_path, Wire(), clock, teaches=lambda user: user == "u0")
        receipts = await process.take(runs(0, 140))
        clock.advance(5.0)
        await process.agent.tick()
        await process.agent.drain()
        assert process.learner.learnt == 20
        assert process.learner.offsets == {0: 139, 1: 140}
        assert all(receipt.acked for receipt in receipts)

    asyncio.run(story())


def test_an_incomplete_micro_batch_is_learnt_after_its_wait(tmp_path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        process = Process(tmp_path, Wire(), clock)
        await process.take(runs(0, 10))
        await process.agent.tick()
        assert process.learner.learnt == 0
        clock.advance(0.5)
        await process.agent.tick()
        assert process.learner.learnt == 10

    asyncio.run(story())


def test_what_serving_gets_holds_nothing_that_only_learning_needs(tmp_path: Path) -> None:
    async def story() -> None:
        process = Process(tmp_path, Wire(), ManualClock())
        await process.take(runs(0, 80))
        (version,) = process.wire.versions()
        names = load_version(version).arrays
        assert any(name.startswith("behaviour/") for name in names)
        assert not [n for n in names if "adam" in n or n.startswith(("replay", "late"))]

    asyncio.run(story())


def test_events_that_come_before_their_item_are_counted_after_a_restart(tmp_path: Path) -> None:
    records = [
        PlainRecord(b"u", msgpack_encode(msgspec.structs.replace(example(n), item_id="new")), 3 * n)
        for n in range(0, 6, 2)
    ]
    counted = LEARNER_EXAMPLES.labels(outcome="late", tenant="")

    async def story() -> None:
        first = Process(tmp_path, Wire(), ManualClock())
        await first.take([Run(TOPICS.examples, 0, records)])
        await first.agent.drain()

        second = Process(tmp_path, Wire(), ManualClock())
        second.learner.catalog.upsert(
            [ItemVector(item_id="new", vector=b"", encoder="", text_hash="", first_seen_ms=0)]
        )
        before = counted._value.get()
        await second.take(runs(6, 46))
        assert counted._value.get() - before == len(records)
        row = second.learner.catalog.row("new")
        assert second.learner.ranker.experts.taken_I[row] == len(records)

    asyncio.run(story())


def test_a_restart_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    given = [*runs(0, 100), *runs(100, 160)]

    async def never_stopped() -> dict[str, bytes]:
        process = Process(tmp_path / "a", Wire(), ManualClock())
        await process.take(given[:10])
        await process.agent.publish()
        await process.take(given[10:])
        await process.agent.publish()
        return arrays_of(process.learner)

    async def stopped() -> dict[str, bytes]:
        first = Process(tmp_path / "b", Wire(), ManualClock())
        await first.take(given[:10])
        await first.agent.drain()
        second = Process(tmp_path / "b", Wire(), ManualClock())
        await second.take(after(given, dict(second.agent.start_offsets())))
        await second.agent.publish()
        assert [v.version for v in second.wire.versions()][-1] > 1
        return arrays_of(second.learner)

    assert asyncio.run(stopped()) == asyncio.run(never_stopped())


@pytest.mark.parametrize("delivered_again", ["from the offsets", "all of it"])
def test_a_crash_before_the_announcement_teaches_nothing_twice(
    tmp_path: Path, delivered_again: str
) -> None:
    given = runs(0, 60)

    async def story() -> None:
        first = Process(tmp_path, Wire(fail_at=TOPICS.adapters), ManualClock())
        receipts = await first.take(given[:3])
        with pytest.raises(KilledError):
            await first.agent.publish()
        assert not any(receipt.acked for receipt in receipts)
        # The checkpoint is on the disk, nobody heard of it, nothing was acknowledged.
        second = Process(tmp_path, Wire(), ManualClock())
        starts = dict(second.agent.start_offsets())
        again = given if delivered_again == "all of it" else after(given, starts)
        await second.take(again)
        await second.agent.publish()
        assert second.learner.learnt == 60
        assert second.wire.versions()[-1].learnt == 60
        assert second.wire.versions()[-1].version == 2

    asyncio.run(story())


def test_while_rubbish_is_taught_nothing_is_announced_and_all_is_acknowledged(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        process = Process(tmp_path, Wire(), ManualClock())
        for n in range(0, 640, 160):
            await process.take(runs(n, n + 160))
            await process.agent.publish()
        before = process.wire.versions()
        honest = arrays_of(process.learner)
        receipts = await process.take(taught_wrong(640, 880))
        await process.agent.publish()
        assert process.wire.versions() == before
        assert all(receipt.acked for receipt in receipts)
        assert arrays_of(process.learner) != honest
        # A restart goes on behind the rubbish, not in it.
        assert (
            dict(Process(tmp_path, Wire(), ManualClock()).agent.start_offsets())[0] == 3 * 879 + 1
        )
        # Honest again: what was learnt of the rubbish is forgotten, and versions go out again.
        await process.take(runs(880, 1_040))
        await process.agent.publish()
        assert process.wire.versions() == before
        await process.take(runs(1_040, 1_080))
        await process.agent.publish()
        assert process.wire.versions()[-1].learnt > before[-1].learnt

    asyncio.run(story())


def spoil(learner: OnlineLearner) -> None:
    """A step that went wrong."""
    stacking = learner.ranker.stacking
    random = torch.Generator().manual_seed(0)
    stacking.weights_SF = 100 * torch.randn(stacking.weights_SF.shape, generator=random)


@pytest.mark.parametrize("killed", [False, True])
def test_a_version_that_turns_bad_is_rolled_back_and_so_is_the_learner(
    tmp_path: Path, killed: bool
) -> None:
    async def story() -> None:
        process = Process(tmp_path, Wire(), ManualClock())
        for n in range(0, 480, 160):
            await process.take(runs(n, n + 160))
            await process.agent.publish()
        spoil(process.learner)
        await process.agent.publish()
        bad = process.wire.versions()[-1]
        announced = {version.version: version for version in process.wire.versions()}
        await process.take(runs(480, 640))
        process.wire.fail_at = TOPICS.adapters if killed else ""
        if killed:
            with pytest.raises(KilledError):
                await process.agent.publish()
            process = Process(tmp_path, Wire(), ManualClock())
            await process.agent.tick()
        else:
            await process.agent.publish()
        said = process.wire.versions()
        withdrawn, good = said[:2] if killed else said[-2:]
        assert withdrawn == msgspec.structs.replace(bad, status="rolled-back")
        assert good.version < bad.version
        assert good == announced[good.version]
        # Serving can read it, and the learner has gone back to it.
        weights = load_version(good).arrays["stacking/weights_SF"]
        assert np.array_equal(process.learner.ranker.stacking.weights_SF, weights)

        await process.take(runs(640, 800))
        await process.agent.publish()
        newest = process.wire.versions()[-1]
        assert newest.status == "live"
        assert newest.version > bad.version

    asyncio.run(story())


def test_what_is_no_example_goes_to_the_dead_letters(tmp_path: Path) -> None:
    async def story() -> None:
        process = Process(tmp_path, Wire(), ManualClock())
        good = msgpack_encode(example(0))
        bad = [
            b"\xc1 rubbish",
            good.replace(b"i0", b"\xff0"),  # not UTF-8
            msgpack_encode(msgspec.structs.replace(example(0), ts_ms=2**63)),
            msgpack_encode(msgspec.structs.replace(example(0), rating=float("nan"))),
        ]
        records = [PlainRecord(b"u", value, n) for n, value in enumerate([*bad, good])]
        await process.take([Run(TOPICS.examples, 0, records)])
        await process.agent.learn()
        assert process.wire.values(TOPICS.dead_letters) == bad
        letters = [record for topic, record in process.wire.sent if topic == TOPICS.dead_letters]
        for letter in letters:
            headers = dict(letter.headers)
            assert headers["tidemill.dlq.reason"] == b"failed"
            assert headers["tidemill.dlq.disposition"] == b"final"
        assert process.learner.learnt == 1

    asyncio.run(story())


# The catalogue's agent ---------------------------------------------------------------------------


def item_run(*items: tuple[str, Item | bytes | None]) -> Run:
    records = [
        PlainRecord(
            key.encode(), json_encode(value) if isinstance(value, msgspec.Struct) else value, n
        )
        for n, (key, value) in enumerate(items)
    ]
    return Run(TOPICS.items, 0, records)


def items_agent(
    wire: Wire, encoder: Letters, catalog: Catalog, stopping: asyncio.Event | None = None
) -> CatalogueAgent:
    return CatalogueAgent(
        kafka=KafkaConfig(),
        publisher=wire,
        catalogs=Catalogs(catalog),
        encoder=lambda: encoder,
        clock=ManualClock(),
        stopping=stopping or asyncio.Event(),
    )


def test_items_become_vectors_tombstones_stay_tombstones_and_rubbish_is_kept() -> None:
    async def story() -> None:
        wire, encoder = Wire(), Letters()
        agent = items_agent(wire, encoder, Catalog(WIDTH))
        done = await agent(
            item_run(
                ("a", Item(item_id="a", title="abba")),
                ("b", Item(item_id="b", title="old")),
                ("b", Item(item_id="b", title="bee", price=3.0)),
                ("c", None),
                ("d", b"{rubbish"),
            )
        )
        assert done
        assert wire.values(TOPICS.dead_letters) == [b"{rubbish"]
        vectors = {
            record.key: record.value for topic, record in wire.sent if topic == TOPICS.item_vectors
        }
        assert vectors[b"c"] is None
        bee = decode_item_vector(vectors[b"b"] or b"")
        assert (bee.title, bee.price) == ("bee", 3.0)
        assert np.frombuffer(bee.vector, "<f2").argmax() == 4  # e, twice
        assert sorted(encoder.encoded) == ["abba", "bee"]

    asyncio.run(story())


def test_an_item_on_which_the_encoder_fails_is_refused_alone() -> None:
    class Choosy(Letters):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
            if any("zebra" in text for text in texts):
                message = "no zebras here"
                raise RuntimeError(message)
            return super().encode(texts)

    async def story() -> None:
        wire = Wire()
        agent = items_agent(wire, Choosy(), Catalog(WIDTH))
        run = item_run(
            ("a", Item(item_id="a", title="abba")),
            ("z", Item(item_id="z", title="zebra")),
            ("b", Item(item_id="b", title="bee")),
        )
        assert await agent(run)
        states = [decode_item_vector(value or b"") for value in wire.values(TOPICS.item_vectors)]
        assert {state.item_id for state in states if state.vector} == {"a", "b"}
        assert wire.values(TOPICS.dead_letters) == [run.records[1].value]

    asyncio.run(story())


def test_new_items_are_known_while_the_encoder_loads() -> None:
    async def story() -> None:
        wire = Wire()
        known_first: list[int] = []

        def load() -> Letters:
            known_first.append(len(wire.values(TOPICS.item_vectors)))
            return Letters()

        agent = CatalogueAgent(
            kafka=KafkaConfig(),
            publisher=wire,
            catalogs=Catalogs(Catalog(WIDTH)),
            encoder=load,
            clock=ManualClock(),
            stopping=asyncio.Event(),
        )
        await agent(item_run(("a", Item(item_id="a", title="abba"))))
        await agent(item_run(("b", Item(item_id="b", title="bee"))))
        assert known_first == [1]  # the first item, and the encoder was loaded once
        states = [decode_item_vector(value or b"") for value in wire.values(TOPICS.item_vectors)]
        assert [(s.item_id, bool(s.vector)) for s in states] == [
            ("a", False),
            ("a", True),
            ("b", True),
        ]

    asyncio.run(story())


def test_only_a_changed_text_is_encoded_again() -> None:
    async def story() -> None:
        catalog, encoder, wire = Catalog(WIDTH), Letters(), Wire()
        agent = items_agent(wire, encoder, catalog)
        await agent(item_run(("a", Item(item_id="a", title="abba", price=1.0))))
        first = decode_item_vector(wire.values(TOPICS.item_vectors)[-1] or b"")
        catalog.upsert([first])
        await agent(item_run(("a", Item(item_id="a", title="abba", price=2.0, available=False))))
        second = decode_item_vector(wire.values(TOPICS.item_vectors)[-1] or b"")
        assert (second.price, second.available, second.vector) == (2.0, False, first.vector)
        assert encoder.encoded == ["abba"]

    asyncio.run(story())


def test_a_stop_leaves_a_long_run_unfinished_and_unacknowledged() -> None:
    async def story() -> None:
        stopping = asyncio.Event()
        stopping.set()
        many = [(f"i{n}", Item(item_id=f"i{n}", title=f"abc {n}")) for n in range(200)]
        agent = items_agent(Wire(), Letters(), Catalog(WIDTH), stopping)
        assert not await agent(item_run(*many))

    asyncio.run(story())


def test_a_broker_that_is_away_does_not_lose_a_version(tmp_path: Path) -> None:
    class Away(Wire):
        tries = 0

        async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
            if topic == TOPICS.adapters and self.tries < 2:
                self.tries += 1
                message = "the broker is away"
                raise Unavailable(message)
            await super().publish(topic, records)

    async def story() -> None:
        process = Process(tmp_path, Away(), ManualClock())
        receipts = await process.take(runs(0, 20))
        await process.agent.publish()
        assert [version.learnt for version in process.wire.versions()] == [20]
        assert all(receipt.acked for receipt in receipts)

    asyncio.run(story())
