"""One chaos run from beginning to end.

1. Three brokers, Redis, topics, roles.
2. The catalogue, until every item has its vector.
3. The stream, and the faults along it.
4. Quiet: every fault healed, every record read.
5. The roles stop in an orderly manner.
6. The verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from features.store_config import StoreConfig
from features.store_feast import FeastStore
from infra.settings import Settings
from infra.topic_admin import create_topics
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.topics import SPECS, Topics
from tests.chaos.cluster import Cluster, free_ports
from tests.chaos.director import Director, Stage
from tests.chaos.disk import Disk
from tests.chaos.producer import Producers
from tests.chaos.redis_server import RedisServer
from tests.chaos.roles import Process
from tests.chaos.schedule import PROCESSES, draw
from tests.chaos.shop import HardShop, catalogue
from tests.chaos.topic_log import Logs
from tests.chaos.verdict import Verdict, judge, read_left
from tests.chaos.watch import Watch

PARTITIONS = 8
SESSION_S = 6.0

AHEAD = 0.06
"""How far, as a share of the stream, records may be sent ahead of the faults that are due."""

STEP_S = 0.1
SHOW_S = 10.0
START_TIMEOUT_S = 600.0
QUIET_TIMEOUT_S = 1_800.0
QUIET_LOOKS = 6
"""Looks in a row, half a second apart, that find nothing unread."""

SETTINGS: dict[str, object] = {
    "kafka.partitions": PARTITIONS,
    "stream.session_timeout_s": SESSION_S,
    "serving.session_timeout_s": SESSION_S,
    # Less work for two cores; nothing that a promise rests on.
    "learner.model.transformer": False,
    # A reading counts from when it is heard on: no single pass over the log can tell when that was.
    "learner.reviews.on": False,
    "learner.train.replays": 0,
    "learner.train.replay_size": 256,
    "learner.train.judged": 4,
    "learner.publish_every_s": 4.0,
    # Several micro-batches per burst of requests.
    "serving.max_batch": 16,
    # As long as the longest time for which requests wait.
    "serving.repeat_window_s": 1_800.0,
    "store.timeout_ms": 2_000,
}


class Plan(NamedTuple):
    """What a run is asked for."""

    kills: int
    events: int
    seed: int
    rate_per_s: float
    only: tuple[str, ...]
    brokers: int
    folder: Path


class Played(NamedTuple):
    """A run that is over, and what it knows of itself."""

    producers: Producers
    director: Director
    crashes: list[str]
    seconds: float


class Theatre:
    """Everything that runs, from the first broker to the last byte; a context manager."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan, self._say = plan, say
        self.folder = plan.folder.absolute()
        self.cluster = Cluster(self.folder / "cluster", plan.brokers)
        self.redis = RedisServer(self.folder / "redis", free_ports(1)[0])
        self.disks = {
            name: Disk(self.folder / name, 512) for name in ("ingest-profile-1", "learner")
        }
        self.settings = Settings.load(environ={}).with_values(
            {
                **SETTINGS,
                "kafka.bootstrap_servers": self.cluster.for_clients,
                "kafka.replication": plan.brokers,
                "store.redis": f"127.0.0.1:{self.redis.port}",
            },
            "the run",
        )
        self.kafka = self.settings.section(KafkaConfig)
        self.inner = msgspec.structs.replace(self.kafka, bootstrap_servers=self.cluster.for_us)
        self.processes = {name: self._process(name) for name in PROCESSES}
        self.extra = self._process("ingest-profile-2")
        self.watch = Watch(self.inner)

    def __enter__(self) -> Theatre:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.processes.values(), self.extra):
            process.child.kill()
            process.child.end(0)
        self.watch.close()
        self.redis.kill()
        self.cluster.stop()
        for disk in self.disks.values():
            disk.close()

    def open(self) -> None:
        """Steps 1 and 2."""
        self._say("starting brokers and Redis")
        self.cluster.start()
        self.redis.start()
        create_topics(self.inner)
        self._say("starting roles")
        for process in self.processes.values():
            process.start()
        self._until(
            lambda: all(process.state == "ready" for process in self.processes.values()),
            START_TIMEOUT_S,
            "the roles are not at work",
        )

    def play(self) -> Played:
        """Steps 3 to 5."""
        plan, started_s = self._plan, time.monotonic()
        opens = (plan.seed, SystemClock().now_ms(), plan.rate_per_s)
        faults = draw(plan.seed, plan.kills, plan.only)
        total = len(faults)

        def allowed() -> int:
            waiting = director.open
            if not waiting:
                return plan.events
            at = faults[max(0, total - waiting)].at if waiting <= total else 0.0
            return round(plan.events * (at + AHEAD))

        producers = Producers(
            self.kafka,
            HardShop(*opens).records(),
            events=plan.events,
            rate_per_s=plan.rate_per_s,
            allowed=allowed,
        )
        stage = Stage(
            self.cluster,
            self.redis,
            self.disks,
            self.processes,
            self.extra,
            self.watch,
            [Topics(self.kafka.topic_prefix).full(spec) for spec in SPECS],
        )
        director = Director(
            stage, faults, lambda: producers.events / plan.events, self._say, plan.seed
        )
        producers.send_all(catalogue(*opens, plan.events))
        self._until(lambda: self._unread("learner") == 0, START_TIMEOUT_S, "items are not encoded")
        self._say(f"{total} faults over {plan.events} events")
        producers.start()
        shown_s = 0.0
        try:
            while producers.is_alive() or not director.healed:
                assert producers.failure is None, f"the producers failed: {producers.failure!r}"
                director.step()
                if time.monotonic() - shown_s > SHOW_S:
                    shown_s = time.monotonic()
                    self._show(producers, director, total, shown_s - started_s)
                time.sleep(STEP_S)
            self._say("all is sent, all faults are over; waiting for what is unread")
            self._wait_for_quiet(director)
        finally:
            producers.stop()
        self._stop_roles()
        everyone = (*self.processes.values(), self.extra)
        crashes = [crash for process in everyone for crash in process.crashes]
        seconds = time.monotonic() - started_s
        return Played(producers, director, crashes, seconds)

    def verdict(self, producers: Producers) -> Verdict:
        """Step 6."""
        self._say("reading everything back, and comparing")
        config = msgspec.structs.replace(
            self.settings.section(StoreConfig), directory=str(self.folder / "judge")
        )
        store = FeastStore(config)
        try:
            models = self.folder / "learner" / "models"
            left = read_left(self.inner, store, models, catalogue_whole=True)
            self._check_acked(left.logs, producers)
            return judge(left)
        finally:
            store.close()

    def _check_acked(self, logs: Logs, producers: Producers) -> None:
        """The brokers hold what they acknowledged, or nothing else is worth a look."""
        for name in ("clicks", "purchases", "reviews", "requests"):
            there = {(record.partition, record.offset) for record in getattr(logs, name)}
            gone = set(producers.acked.get(name, ())) - there
            assert not gone, f"acknowledged, and not on {name}: {sorted(gone)[:5]}"

    def _process(self, name: str) -> Process:
        return Process(name, self.settings, self.folder / name, self._say)

    def _until(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not done():
            for process in self.processes.values():
                process.look()
            assert time.monotonic() < deadline_s, f"{what} after {timeout_s:g} s"
            time.sleep(STEP_S)

    def _unread(self, group: str) -> int:
        sample = self.watch.look()
        return 1 if sample is None else sample.lag(group)

    def _wait_for_quiet(self, director: Director) -> None:
        quiet, deadline_s = 0, time.monotonic() + QUIET_TIMEOUT_S
        while quiet < QUIET_LOOKS:
            director.step()
            sample = self.watch.look()
            lags = {} if sample is None else {name: sample.lag(name) for name in sample.committed}
            quiet = quiet + 1 if lags and not any(lags.values()) else 0
            assert time.monotonic() < deadline_s, f"unread after {QUIET_TIMEOUT_S:g} s: {lags}"
            time.sleep(0.5)

    def _stop_roles(self) -> None:
        for process in reversed(self.processes.values()):
            process.leave()
        self._until(
            lambda: all(process.state == "away" for process in self.processes.values()),
            120.0,
            "the roles did not stop",
        )

    def _show(self, producers: Producers, director: Director, total: int, seconds: float) -> None:
        sample = director.sample
        lags: dict[str, Any] = {}
        if sample is not None:
            lags = {group: sample.lag(group) for group in sample.committed}
        states = " ".join(f"{p.name}={p.state}" for p in self.processes.values())
        self._say(
            f"{seconds:.0f} s: {producers.events}/{self._plan.events} events, "
            f"{total - director.open}/{total} faults, {len(director.kills)} kills, unread {lags}, "
            f"{states}"
        )
