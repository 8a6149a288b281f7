"""One try of one of Faust's faults: provoke it, look at the broker's own offsets, restart, look.

- **past-in-flight** (faust #606): runs are finished out of order and one never is. The broker's
  offset must stay at or before it, whatever was finished behind it.
- **failed-commit** (faust #316, #692): commits fail, and nothing new arrives. The broker must have
  the end all the same, soon after commits work again.
- **raised** (faust #315, #527): an agent raises. Its record must not be acknowledged.

After each a plain worker takes over from the broker's offsets; all records are finished then.
"""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from multiprocessing import Pipe
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random

from kafka import KafkaAdminClient, KafkaProducer

from stream.connect import KafkaConfig
from tests.faults.faust_worker import ROLE, Fault, Plan, work
from tests.faults.forked import end, fork

FAULTS: tuple[Fault, ...] = ("past-in-flight", "failed-commit", "raised")

WAIT_S = 40.0
LOOK_S = 0.05
SOON_S = 10.0
"""What works commits every 0.05 s; what has not by now never will."""

PARTITIONS = 3
MOST_RECORDS = 90

Places = set[tuple[int, int]]


class Worker:
    """A forked worker, and what it has said."""

    def __init__(self, kafka: KafkaConfig, plan: Plan, data: Path) -> None:
        self._ear, mouth = Pipe(duplex=False)
        self.ended: Places = set()
        self.held: tuple[int, list[int]] | None = None
        self.refused = 0
        self.ready = False
        self.process: ForkServerProcess = fork(
            work, kafka, plan, str(data), mouth, log=data / "worker.log"
        )
        mouth.close()

    def listen(self, timeout_s: float = 0.0) -> None:
        """Take in what it said."""
        try:
            while self._ear.poll(timeout_s):
                word, number, offsets = self._ear.recv()
                if word == "end":
                    self.ended |= {(number, offset) for offset in offsets}
                elif word == "held":
                    self.held = (number, offsets)
                elif word == "ready":
                    self.ready = True
                else:
                    self.refused += 1
                timeout_s = 0.0
        except EOFError:
            self.process.join(WAIT_S)


class Offsets:
    """What the broker holds as the group's offsets."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._group = f"{kafka.topic_prefix}{ROLE}"
        self._admin = KafkaAdminClient(**kafka.client_settings())

    def now(self) -> dict[int, int]:
        """By partition."""
        found = self._admin.list_group_offsets({self._group: None})[self._group]
        return {place.partition: at.offset for place, at in found.items() if at.offset >= 0}

    def close(self) -> None:
        """Give the connection back."""
        self._admin.close()


def attempt(kafka: KafkaConfig, fault: Fault, seed: int, data: Path, *, stock: bool = False) -> str:
    """One try on topics of its own; says what went wrong, nothing if all was right."""
    rng = Random(f"{fault} {seed}")
    mine = f"t{uuid.uuid4().hex[:10]}."
    kafka = KafkaConfig(
        bootstrap_servers=kafka.bootstrap_servers, topic_prefix=mine, partitions=PARTITIONS
    )
    data.mkdir()
    wanted = _publish(kafka, rng)
    ends = {p: 1 + max(at for q, at in wanted if q == p) for p, _ in wanted}
    # At least one run per partition: of 3 runs, the worker has surely a third one.
    plan = Plan(fault, seed, at=rng.randint(1, 3), fails=rng.randint(1, 4), stock=stock)
    worker = Worker(kafka, plan, data)
    with closing(Offsets(kafka)) as offsets:
        try:
            wrong = _provoke(worker, plan, offsets, wanted, ends)
            end(worker.process, signal.SIGKILL)
            worker.listen()
            if wrong:
                return wrong
            done = set(worker.ended)
            after = offsets.now()
            worker = Worker(kafka, Plan("none", stock=stock), data)
            left = {(p, at) for p, at in wanted if at >= after.get(p, 0)}
            if not _until(worker, lambda: _through(worker, left, offsets, ends)):
                lost = sorted(wanted - done - worker.ended)
                return f"after the restart {len(lost)} records are lost, offsets {offsets.now()}"
            if not wanted <= done | worker.ended:
                return f"lost: {sorted(wanted - done - worker.ended)}"
            if end(worker.process, signal.SIGTERM) != 0:
                return f"a clean stop ended with {worker.process.exitcode}"
            return "" if offsets.now() == ends else f"at the end {offsets.now()}, not {ends}"
        finally:
            end(worker.process, signal.SIGKILL)


def _through(worker: Worker, left: Places, offsets: Offsets, ends: dict[int, int]) -> bool:
    return worker.ready and left <= worker.ended and offsets.now() == ends


def _provoke(
    worker: Worker, plan: Plan, offsets: Offsets, wanted: Places, ends: dict[int, int]
) -> str:
    if plan.fault == "failed-commit":
        return _after_failed_commits(worker, plan, offsets, wanted, ends)
    if not _until(worker, lambda: worker.held is not None):
        return "the fault was not provoked: nothing is proven"
    assert worker.held is not None
    partition, held = worker.held
    if plan.fault == "raised" and not plan.stock:
        worker.process.join(WAIT_S)
        if worker.process.exitcode != 1:
            return f"an agent raised, and its process ended with {worker.process.exitcode}"
    else:
        # What isn't held is finished and committed: now it shows how far the other one is.
        rest = wanted - {(partition, offset) for offset in held}
        others = {p: at for p, at in ends.items() if p != partition}
        _until(
            worker,
            lambda: rest <= worker.ended and others.items() <= offsets.now().items(),
            SOON_S,
        )
    at = offsets.now().get(partition, 0)
    if at > held[0]:
        return f"partition {partition} is committed up to {at}, and {held[0]} was never finished"
    return ""


def _after_failed_commits(
    worker: Worker, plan: Plan, offsets: Offsets, wanted: Places, ends: dict[int, int]
) -> str:
    if not _until(worker, lambda: worker.refused > 0 and wanted <= worker.ended):
        return "no commit failed: nothing is proven"
    if not _until(worker, lambda: offsets.now() == ends, SOON_S):
        return (
            f"{worker.refused} commits failed, all records are finished up to {ends}, "
            f"and the broker stays at {offsets.now()}"
        )
    worker.listen()
    if worker.refused != plan.fails:
        return f"{worker.refused} commits failed of {plan.fails}: not what was to be shown"
    return ""


def _until(worker: Worker, done: Callable[[], bool], timeout_s: float = WAIT_S) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline_s or not worker.process.is_alive():
            return done()
        worker.listen(LOOK_S)
    return True


def _publish(kafka: KafkaConfig, rng: Random) -> Places:
    """Fill a fresh topic; every second one in transactions, whose markers are holes in offsets."""
    topic = f"{kafka.topic_prefix}clicks"
    with closing(KafkaAdminClient(**kafka.client_settings())) as admin:
        admin.create_topics({topic: {"num_partitions": PARTITIONS, "replication_factor": 1}})
    holes = rng.random() < 0.5
    producer = KafkaProducer(
        **kafka.client_settings(), transactional_id=f"{topic}-shop" if holes else None
    )
    if holes:
        producer.init_transactions()
    sent, at = [], 0
    while at < MOST_RECORDS:
        if holes:
            producer.begin_transaction()
        for _ in range(rng.randint(5, 30)):
            sent.append(producer.send(topic, b"%d" % at, partition=at % PARTITIONS))
            at += 1
        if holes:
            producer.commit_transaction()
    producer.flush(WAIT_S)
    acks = [future.get(WAIT_S) for future in sent]
    producer.close()
    return {(ack.partition, ack.offset) for ack in acks}
