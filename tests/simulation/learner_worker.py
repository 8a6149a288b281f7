"""A process of the learner: the product's agent, on a learner that only keeps the contract.

A real learner takes milliseconds for a micro-batch; here thousands of interleavings count. So
`PlainLearner` leaves repeats out by offset and counts what it learnt, as the real one does, and
checkpoints and versions are values in memory. With a folder, everything is the real thing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np

from features.catalog import Catalog
from learner import examples_agent
from learner.cleaning import REASONS
from learner.config import LearnerConfig, ModelConfig, TrainConfig
from learner.online import OnlineLearner
from learner.shops_agent import ShopsAgent
from learner.snapshot import Saved
from stream.batching import Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import Example
from tests.chaos.verdict import Checkpoint, newest_checkpoint
from tests.simulation.broker import TP, Broker, Group, SimPublisher
from tests.simulation.loop import Point, Task
from tests.simulation.member import Delivery, Member

CONFIG = LearnerConfig(
    device="cpu",
    model=ModelConfig(width=8, layers=1, heads=1, lora_rank=2),
    train=TrainConfig(batch=16, listed=8, negatives=8, replays=1),
    publish_every_s=20.0,
    max_wait_s=0.5,
)


class Folder(dict[str, Any]):
    """A folder in memory: `/` opens one within; it survives the process."""

    def __truediv__(self, name: str) -> Folder:
        """The folder of that name."""
        found: Folder = self.setdefault(name, Folder())
        return found


class PlainSnapshots:
    """As `learner.snapshot.Snapshots`: a write is there whole, or not at all."""

    def __init__(self, folder: Folder, keep: int) -> None:
        self._folder = folder
        del keep

    def numbers(self) -> list[int]:
        """The numbers that are there."""
        return sorted(self._folder.setdefault("saved", {}))

    def write(self, number: int, saved: Saved) -> None:
        """Write one; only the newest is ever read."""
        self._folder["saved"] = {number: saved}

    def newest(self) -> Saved | None:
        """The newest."""
        numbers = self.numbers()
        return self._folder["saved"][numbers[-1]] if numbers else None


class PlainVersions:
    """As `learner.versions_agent.VersionsAgent`: every version is good and announced."""

    unsaid = False
    live = None

    def __init__(self, **_: Any) -> None:
        pass

    def numbers(self) -> list[int]:
        """None is kept."""
        return []

    def judge(self, *_: Any) -> None:
        """Nothing is compared."""

    def decide(self) -> str:
        """Publish."""
        return "published"

    def meta(self, made: int | None) -> dict[str, Any]:
        """Nothing to keep."""
        del made
        return {}

    def resume(self, meta: dict[str, Any]) -> None:
        """Nothing was kept."""

    async def make_live(self, *_: Any) -> None:
        """Writing a version takes a moment."""
        await Point("version written")

    async def say(self) -> None:
        """So does telling of it."""
        await Point("version announced")


class PlainLearner:
    """As `learner.online.OnlineLearner`: every example changes it once, by its offset."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.config = CONFIG
        self.offsets: dict[int, int] = {}
        self.learnt = 0
        self.noise = np.zeros(len(REASONS), np.int64)
        self.waiting = 0
        self.ranker = SimpleNamespace(residuals=SimpleNamespace(admitted_I=np.zeros(1)))

    def learn_many(self, examples: Sequence[Example]) -> Any:
        """Learn those above the offset of their partition."""
        repeated = 0
        for example in examples:
            if example.offset < self.offsets.get(example.partition, 0):
                repeated += 1
                continue
            self.offsets[example.partition] = example.offset + 1
            if self.catalog.row(example.item_id) < 0:
                self.waiting += 1
            else:
                self.learnt += 1
        return SimpleNamespace(
            learnt=len(examples) - repeated,
            repeated=repeated,
            unknown=0,
            late=0,
            steps=0,
            loss=0.0,
            factor=1.0,
            recent={},
            signals=(),
        )

    def pass_over(self, examples: Sequence[Example]) -> None:
        """Count examples as dealt with."""
        for example in examples:
            learnt = self.offsets.get(example.partition, 0)
            self.offsets[example.partition] = max(learnt, example.offset + 1)


def _save(learner: PlainLearner) -> Saved:
    offsets = {str(partition): offset for partition, offset in learner.offsets.items()}
    meta = {"offsets": offsets, "learnt": learner.learnt, "waiting": learner.waiting}
    return Saved({}, meta)


def _load(learner: PlainLearner, saved: Saved) -> None:
    learner.offsets = {int(p): offset for p, offset in saved.meta["offsets"].items()}
    learner.learnt, learner.waiting = saved.meta["learnt"], saved.meta["waiting"]


_PLAIN = {
    "Snapshots": PlainSnapshots,
    "VersionsAgent": PlainVersions,
    "save_learner": _save,
    "load_learner": _load,
    "held_bytes": lambda _learner: {},
    "for_serving": lambda saved, _decision: saved,
}


@contextmanager
def plain_learners() -> Iterator[None]:
    """Let the agent find the plain parts where it looks for the real ones."""
    real = {name: getattr(examples_agent, name) for name in _PLAIN}
    try:
        for name, part in _PLAIN.items():
            setattr(examples_agent, name, part)
        yield
    finally:
        for name, part in real.items():
            setattr(examples_agent, name, part)


class LearnerWorker(Member):
    """The one member of the group `learner`.

    Parameters
    ----------
    folder
        Where it keeps its checkpoints: on the disk, or in memory for the plain learner.
    """

    def __init__(  # noqa: PLR0913 - a process needs that much
        self,
        name: str,
        group: Group,
        broker: Broker,
        rng: Random,
        *,
        kafka: KafkaConfig,
        folder: Path | Folder,
        catalog: Catalog,
        clock: Clock,
    ) -> None:
        super().__init__(name, group, broker, rng)
        learner: Any
        learner = (
            OnlineLearner(catalog, CONFIG) if isinstance(folder, Path) else PlainLearner(catalog)
        )
        kept: Any = folder
        publisher, lock = SimPublisher(broker, rng), asyncio.Lock()
        self._agent = ShopsAgent(
            kafka=kafka,
            publisher=publisher,
            clock=clock,
            folder=kept,
            lock=lock,
            make=lambda _: examples_agent.ExamplesAgent(
                kafka=kafka,
                learner=learner,
                publisher=publisher,
                folder=kept,
                clock=clock,
                lock=lock,
            ),
        )
        self._agent.restore()

    async def handle(self, run: Run, delivery: Delivery) -> None:
        """As `stream.guard` does for an agent that acknowledges by itself."""
        given: Any = delivery
        while delivery.current:
            try:
                await self._agent.take(run, given)
            except Unavailable:
                await Point("try again")
            else:
                return

    def tick(self) -> None:
        """Let its clockwork look, if it is not at it."""
        if "tick" not in self.tasks:
            self.tasks["tick"] = Task("tick", self._agent.tick())

    async def drain(self) -> None:
        """A last checkpoint."""
        await self._agent.drain()

    def start_offset(self, tp: TP) -> int | None:
        """Where it has learnt to, for sure."""
        return self._agent.agents[""].start_offsets().get(tp[1])


def checkpoint_in(folder: Path | Folder) -> Checkpoint:
    """What the newest checkpoint says."""
    if isinstance(folder, Path):
        return newest_checkpoint(folder)
    saved = PlainSnapshots(folder / "checkpoints", keep=1).newest()
    nothing: dict[str, Any] = {"consumed": {}, "offsets": {}, "learnt": 0, "waiting": 0}
    meta = saved.meta if saved else nothing
    return Checkpoint(
        consumed={int(partition): at for partition, at in meta["consumed"].items()},
        offsets={int(partition): at for partition, at in meta["offsets"].items()},
        learnt=meta["learnt"],
        waiting=meta["waiting"],
    )
