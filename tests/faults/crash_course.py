"""All roles on one broker, each killed at one of its points after the other, while records flow.

1. The catalogue: items are sent in bursts, and the learner is killed at the catalogue's points.
2. All roles: events and requests flow; each role is killed at its next point as soon as it has come
   back from the one before. The roles' points are gone through side by side.
3. All is sent, every role runs without a point until nothing is unread, and stops cleanly.
4. The verdict: everything that is left is compared, row by row, with a single-pass reference.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random

import msgspec

from features.store_config import StoreConfig
from features.store_feast import FeastStore
from infra import cli
from infra.lag import READS, lag
from infra.replay import Sender
from infra.roles import ROLES
from infra.topic_admin import create_topics
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.shop import ShopRecord
from tests.chaos.findings import Verdict
from tests.chaos.shop import HardShop, catalogue
from tests.chaos.verdict import judge, read_left
from tests.faults.forked import end, fork, warm
from tests.faults.points import POINTS, arm

REACH_S = 400.0
"""A role starts and reaches its point in seconds; on a machine with a hundred processes in more."""

BURST, BURST_S = 12, 0.1
AHEAD_S = 2.0
ITEMS = 24

SETTINGS: Mapping[str, object] = {
    "kafka.partitions": 2,
    "stream.instance": "one",
    "stream.commit_interval_s": 0.2,
    "stream.max_run_records": 200,
    "serving.instance": "serving-one",
    "serving.max_batch": 16,
    "metrics.ingest_profile": -1,
    "metrics.learner": -1,
    "metrics.serving": -1,
    # Less work; nothing that a promise rests on.
    "learner.model.transformer": "false",
    # A reading counts from when it is heard on: no single pass over the log can tell when that was.
    "learner.reviews.on": "false",
    "learner.train.replays": 0,
    "learner.train.replay_size": 256,
    "learner.train.judged": 4,
    "learner.publish_every_s": 0.5,
}


def role(name: str, point: str, passes: int, settings: Mapping[str, object]) -> int:
    """Run a role; it dies at the point, if one is named."""
    if point:
        arm(point, passes)
    chosen = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return cli.run(["worker", name, *chosen])


class Chain:
    """One role, started again and again, each time with the next of its points.

    Attributes
    ----------
    died
        The points at which it died as it should.
    """

    def __init__(self, name: str, points: Sequence[str], course: Course) -> None:
        self.name = name
        self.died: list[str] = []
        self._left = list(points)
        self._course = course
        self._point = ""
        self._child: ForkServerProcess | None = None
        self._since_s = 0.0

    @property
    def through(self) -> bool:
        """Whether it has died at all of its points, and runs without one."""
        return self._child is not None and not self._left and not self._point

    def look(self) -> None:
        """Start it, if it does not run.

        Raises
        ------
        AssertionError
            If it ended in another way, or does not come to its point.
        """
        child = self._child
        if child is not None and child.is_alive():
            waited_s = time.monotonic() - self._since_s
            assert not self._point or waited_s < REACH_S, f"{self._point} was not reached"
            return
        if child is not None:
            assert child.exitcode == -signal.SIGKILL and self._point, (
                f"{self.name} ended with {child.exitcode} at {self._point!r}: see {self.log}"
            )
            self.died.append(self._point)
        self._point = self._left.pop(0) if self._left else ""
        self._since_s = time.monotonic()
        passes = self._course.rng.randint(1, 3)
        settings = self._course.settings
        self._child = fork(role, self.name, self._point, passes, settings, log=self.log)

    def stop(self) -> None:
        """Let it finish and leave."""
        if self._child is not None:
            code = end(self._child, signal.SIGTERM, REACH_S)
            assert code == 0, f"{self.name} stopped with {code}: see {self.log}"
            self._child = None

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            end(self._child, signal.SIGKILL)

    @property
    def log(self) -> Path:
        """What it says."""
        return self._course.folder / f"{self.name}.log"


class Course:
    """One go through points.

    Parameters
    ----------
    broker
        Where the broker is; topics are of the course's own prefix.
    """

    def __init__(self, broker: KafkaConfig, folder: Path, seed: int) -> None:
        folder.mkdir(parents=True)
        self.folder, self.rng = folder, Random(f"course {seed}")
        self.settings = {
            **SETTINGS,
            "kafka.bootstrap_servers": broker.bootstrap_servers,
            "kafka.topic_prefix": f"c{os.urandom(4).hex()}.",
            "run.data_dir": folder / "data",
            "store.directory": folder / "features",
        }
        self.kafka = KafkaConfig(
            bootstrap_servers=broker.bootstrap_servers,
            topic_prefix=str(self.settings["kafka.topic_prefix"]),
            partitions=2,
        )
        self._opens = (seed, SystemClock().now_ms(), BURST / BURST_S)
        self._sender: Sender | None = None

    def run(self, points: Sequence[str]) -> Verdict:
        """Die at every one of the points, and come back; says what is wrong afterwards.

        Raises
        ------
        AssertionError
            If a role does not reach its point, or ends in another way.
        """
        warm(self.folder / "forked.log")
        create_topics(self.kafka)
        self._sender = Sender(self.kafka)
        of = {name: [p for p in points if POINTS[p].role == name] for name in ROLES}
        first = [point for point in of["learner"] if point.startswith("catalogue")]
        of["learner"] = [point for point in of["learner"] if point not in first]
        opening = [Chain("learner", first, self)]
        chains = [Chain(name, of[name], self) for name in ROLES]
        try:
            self._play(opening, self._items())
            opening[0].stop()
            self._play(chains, HardShop(*self._opens).records())
            for chain in reversed(chains):
                chain.stop()
        finally:
            for chain in (*opening, *chains):
                chain.kill()
            self._sender.close()
        died = [point for chain in (*opening, *chains) for point in chain.died]
        assert sorted(died) == sorted(points), f"died at {died}"
        return self._verdict()

    def _items(self) -> Iterator[ShopRecord]:
        yield from catalogue(*self._opens, 5_000)

    def _play(self, chains: Sequence[Chain], records: Iterator[ShopRecord]) -> None:
        """Send records while roles die; then until all is read."""
        sender, finite = self._sender, all(chain.name == "learner" for chain in chains)
        assert sender is not None
        while not all(chain.through for chain in chains):
            self._send(records, sender)
            self._wait(chains, BURST_S)
        for _ in range(10_000 if finite else 1):
            if not self._send(records, sender):
                break
        names = {chain.name for chain in chains}
        deadline_s = time.monotonic() + REACH_S
        quiet = 0
        while quiet < 4:
            self._wait(chains, 0.25)
            behind = {k: n for k, n in self._lag(names).items() if n}
            quiet = 0 if behind else quiet + 1
            assert not behind or time.monotonic() < deadline_s, f"unread: {behind}"

    def _lag(self, roles: set[str]) -> dict[tuple[str, str], int]:
        found = lag(self.kafka)
        return {(r, topic): n for (r, topic), n in found.items() if r in roles and r in READS}

    def _send(self, records: Iterator[ShopRecord], sender: Sender) -> int:
        """Send a burst; how many records were left to send."""
        sent = 0
        for record in records:
            sender.send(record.topic_kind, record.key, record.value)
            sent += 1
            if sent == BURST:
                break
        sender.flush()
        return sent

    def _wait(self, chains: Sequence[Chain], seconds: float) -> None:
        for chain in chains:
            chain.look()
        time.sleep(seconds)

    def _verdict(self) -> Verdict:
        config = StoreConfig(directory=str(self.settings["store.directory"]))
        store = FeastStore(config)
        try:
            models = self.folder / "data" / "models"
            return judge(read_left(self.kafka, store, models, catalogue_whole=True))
        finally:
            store.close()


Run = Callable[[Sequence[str]], Verdict]


def figures(verdict: Verdict) -> dict[str, object]:
    """A verdict's figures, without its words."""
    found: dict[str, object] = msgspec.to_builtins(verdict)
    del found["differences"]
    return found
