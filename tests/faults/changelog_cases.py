"""A table whose changelog or disk is damaged, case by case, and what its role does then.

Right is: ready with every row, or stopped with a word that says what to do; never ready with rows
missing.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing
from multiprocessing import Pipe
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource
from kafka.errors import BrokerResponseError, UnknownTopicOrPartitionError

from stream.connect import KafkaConfig
from stream.publish import partition_of
from tests.faults.forked import end, fork
from tests.faults.table_worker import ROLE, TABLE, Ready, digest, table

READY_S = 120.0
PARTITIONS = 2
WAIT_S = 60.0
WRITE_S = 600.0


class Outcome(NamedTuple):
    """How a start ended: ready, or stopped with a word."""

    ready: Ready | None
    code: int | None
    words: str


class Kept:
    """A table's topics and its disk."""

    def __init__(self, kafka: KafkaConfig, folder: Path) -> None:
        self.kafka = KafkaConfig(
            bootstrap_servers=kafka.bootstrap_servers,
            topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
            partitions=PARTITIONS,
        )
        self.folder = folder
        self.folder.mkdir()
        self.changelog = f"{self.kafka.topic_prefix}{ROLE}-{TABLE}-changelog"
        self.rows: dict[bytes, bytes] = {}
        self._log = folder / "worker.log"
        self.create(f"{self.kafka.topic_prefix}clicks")
        self.create(self.changelog, {"cleanup.policy": "compact"})

    @property
    def databases(self) -> list[Path]:
        """The folders of RocksDB, one for each partition."""
        return sorted(self.folder.glob("state/*/**/CURRENT"))

    def create(self, topic: str, configs: dict[str, str] | None = None) -> None:
        """Make a topic."""
        wanted = {"num_partitions": PARTITIONS, "replication_factor": 1, "configs": configs or {}}
        with self._admin() as admin:
            admin.create_topics({topic: wanted})

    def write(self, rows: dict[bytes, bytes | None]) -> int:
        """Write rows to the changelog, as the role would; returns how many bytes."""
        producer = KafkaProducer(
            **self.kafka.client_settings(), batch_size=1 << 18, linger_ms=20, acks="all"
        )
        sent = [
            producer.send(self.changelog, value, key, partition=partition_of(key, PARTITIONS))
            for key, value in rows.items()
        ]
        for future in sent:
            future.get(WRITE_S)
        producer.close()
        for key, value in rows.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        return sum(len(key) + len(value or b"") for key, value in rows.items())

    def start(
        self, *, stop: bool = True, stall_s: float = 0.0
    ) -> tuple[Outcome, ForkServerProcess]:
        """Start the role, wait until it is ready or ends, and stop it unless told otherwise."""
        before = self._log.stat().st_size if self._log.exists() else 0
        ear, mouth = Pipe(duplex=False)
        child = fork(table, self.kafka, str(self.folder), mouth, stall_s, log=self._log)
        mouth.close()
        ready: Ready | None = None
        try:
            if ear.poll(READY_S):
                ready = ear.recv()
        except EOFError:
            child.join(WAIT_S)
        code = child.exitcode
        if stop or ready is None:
            end(child, signal.SIGTERM if ready else signal.SIGKILL)
        return Outcome(ready, code, self._log.read_text()[before:]), child

    def has_all(self, outcome: Outcome) -> bool:
        """Whether a start was ready in time with every row."""
        ready = outcome.ready
        return ready is not None and ready.digest == digest(self.rows) and ready.seconds < READY_S

    def trim(self, share: float) -> None:
        """Delete the oldest records of the changelog, as retention would; 1.0 empties it."""
        with self._admin() as admin:
            admin.alter_configs(
                [ConfigResource("TOPIC", self.changelog, {"cleanup.policy": "delete"})]
            )
            places = [TopicPartition(self.changelog, p) for p in range(PARTITIONS)]
            ends = {place: -1 for place in places}
            if share < 1:
                latest = admin.list_partition_offsets(dict.fromkeys(places, -1))
                ends = {place: int(at.offset * share) for place, at in latest.items()}
            while True:
                try:
                    admin.delete_records(ends)
                except BrokerResponseError as error:
                    if "PolicyViolation" not in str(error):  # until the policy has come through
                        raise
                else:
                    break
            admin.alter_configs(
                [ConfigResource("TOPIC", self.changelog, {"cleanup.policy": "compact"})]
            )

    def recreate(self) -> None:
        """Delete the changelog, and make it again, empty."""
        with self._admin() as admin:
            admin.delete_topics([self.changelog])
            while self.changelog in admin.list_topics():
                pass
        while True:
            try:
                self.create(self.changelog, {"cleanup.policy": "compact"})
            except (BrokerResponseError, UnknownTopicOrPartitionError) as error:
                if "AlreadyExists" not in type(error).__name__ + str(error):
                    raise
            else:
                return

    def wipe(self) -> None:
        """Lose the disk."""
        shutil.rmtree(self.folder / "state")

    def _admin(self) -> closing[KafkaAdminClient]:
        return closing(KafkaAdminClient(**self.kafka.client_settings()))


def rows(count: int, size: int = 100, first: int = 0) -> dict[bytes, bytes | None]:
    """Rows of about a state's size, each with a value of its own."""
    return {b"user-%d" % n: (b"%d " % n).ljust(size, b"x") for n in range(first, first + count)}


# The cases -------------------------------------------------------------------------------------

Case = Callable[[Kept], str]


def _whole(kept: Kept, what: str, stall_s: float = 0.0) -> str:
    outcome, _ = kept.start(stall_s=stall_s)
    if kept.has_all(outcome):
        return ""
    found = outcome.ready.rows if outcome.ready else f"exit {outcome.code}: {outcome.words[-300:]}"
    return f"{what}: {len(kept.rows)} rows wanted, {found}"


def _stopped(kept: Kept, words: str) -> str:
    outcome, _ = kept.start()
    if outcome.code == 1 and words in outcome.words and "delete" in outcome.words:
        return ""
    return f"wanted a stop with {words!r}, got {outcome.code}, {outcome.ready}"


def _mended(kept: Kept) -> str:
    """The disk has all; then the disk is lost, and the changelog has all."""
    wrong = _whole(kept, "on the disk")
    kept.wipe()
    return wrong or _whole(kept, "in the changelog that was written anew")


def trimmed(kept: Kept) -> str:
    """The changelog lost its older half."""
    kept.trim(0.5)
    return _mended(kept)


def emptied(kept: Kept) -> str:
    """The changelog lost all records."""
    kept.trim(1.0)
    return _mended(kept)


def recreated(kept: Kept) -> str:
    """The changelog was deleted, and is there again, empty."""
    kept.recreate()
    return _mended(kept)


def recreated_and_used(kept: Kept) -> str:
    """The changelog was made again, and somebody wrote to it."""
    kept.recreate()
    kept.write(rows(10, first=1_000_000))
    return _stopped(kept, "this is not the topic that the state was written to")


def disk_and_beginning_lost(kept: Kept) -> str:
    """The changelog lost its older half, and the disk is gone."""
    kept.trim(0.5)
    kept.wipe()
    return _stopped(kept, "users would begin anew")


def disk_and_all_lost(kept: Kept) -> str:
    """The changelog lost all, and the disk is gone."""
    kept.trim(1.0)
    kept.wipe()
    return _stopped(kept, "users would begin anew")


def disk_too_old(kept: Kept) -> str:
    """The changelog lost changes that the disk never had."""
    kept.write(rows(len(kept.rows), first=len(kept.rows)))
    kept.trim(0.9)
    return _stopped(kept, "the changes between are gone")


def tombstones_only(kept: Kept) -> str:
    """Every row was deleted in the changelog."""
    kept.write(dict.fromkeys(kept.rows))
    wrong = _whole(kept, "on the disk")
    kept.wipe()
    return wrong or _whole(kept, "from the changelog")


def wiped(kept: Kept) -> str:
    """The disk is gone."""
    kept.wipe()
    return _whole(kept, "from the changelog")


def wiped_and_slow(kept: Kept) -> str:
    """The disk is gone, and changes take long from the broker to the table."""
    kept.wipe()
    return _whole(kept, "from the changelog", stall_s=4.0)


def stale_lock(kept: Kept) -> str:
    """The process was killed, and its LOCK is there."""
    _, child = kept.start(stop=False)
    end(child, signal.SIGKILL)
    for database in kept.databases:
        assert (database.parent / "LOCK").exists()
    return _whole(kept, "after a kill")


def held_lock(kept: Kept) -> str:
    """Another process has the state open: RocksDB locks a file as long as it lives."""
    with ExitStack() as held:
        for database in kept.databases:
            lock = held.enter_context((database.parent / "LOCK").open("r+"))
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        wrong = _stopped(kept, "can't be used")
    return wrong or _whole(kept, "after what the word says")


def damaged(kept: Kept) -> str:
    """A file of the state is damaged."""
    for database in kept.databases:
        database.write_bytes(b"rubbish\n")
    wrong = _stopped(kept, "can't be used")
    kept.wipe()
    return wrong or _whole(kept, "after what the word says")


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        trimmed,
        emptied,
        recreated,
        recreated_and_used,
        disk_and_beginning_lost,
        disk_and_all_lost,
        disk_too_old,
        tombstones_only,
        wiped,
        wiped_and_slow,
        stale_lock,
        held_lock,
        damaged,
    )
}


def run_case(name: str, kafka: KafkaConfig, folder: Path, count: int = 2_000) -> str:
    """Fill a table, damage it, start the role; says what is wrong, nothing if all is right."""
    kept = Kept(kafka, folder)
    kept.write(rows(count))
    return _whole(kept, "at first") or CASES[name](kept)
