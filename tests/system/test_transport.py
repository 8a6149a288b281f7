"""Real Kafka, real processes: what a kill, a stop and a fault leave on the broker."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from stream.connect import KafkaConfig
from tests.system.transport_worker import ROLE

WAIT_S = 60
RECORDS = 4_000
KEYS = 300


class Worker:
    """A worker process, and what it has said so far."""

    def __init__(self, kafka: KafkaConfig, data: Path, hold_at: int = 0, fail_at: int = 0) -> None:
        self.said: list[list[Any]] = []
        command = [sys.executable, "-m", "tests.system.transport_worker"]
        command += [kafka.bootstrap_servers, kafka.topic_prefix, str(kafka.partitions)]
        command += [str(data), str(hold_at), str(fail_at)]
        with (data / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def until(self, done: Callable[[list[Any]], bool]) -> list[Any]:
        """Read what it says up to the line that satisfies `done`, and return that line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            if done(self.said[-1]):
                return self.said[-1]
        message = f"the worker ended with {self.process.wait()} after {self.said[-3:]}"
        raise AssertionError(message)

    def until_all(self, wanted: set[tuple[int, int]]) -> None:
        """Read until every wanted record was handled to the end."""
        while not wanted <= self.handled("end"):
            self.until(lambda line: line[0] == "end")

    def rest(self) -> int:
        """Read to the end and return the exit code."""
        assert self.process.stdout is not None
        self.said += [json.loads(line) for line in self.process.stdout]
        return self.process.wait(WAIT_S)

    def go_on(self) -> None:
        """Let it finish the run that it holds."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Kill -9; what it said before is read."""
        self.process.kill()
        self.rest()

    def handled(self, word: str) -> set[tuple[int, int]]:
        """Return (partition, offset) of the records whose run it began or ended."""
        return {(line[1], offset) for line in self.said if line[0] == word for offset in line[2:]}


@pytest.fixture
def start(kafka_config: KafkaConfig, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def begin(**when: int) -> Worker:
        workers.append(Worker(kafka_config, tmp_path, **when))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


@pytest.fixture
def wanted(kafka_config: KafkaConfig) -> set[tuple[int, int]]:
    """Publish clicks and return the (partition, offset) of each."""
    return publish(kafka_config, range(RECORDS))


def publish(kafka: KafkaConfig, numbers: range) -> set[tuple[int, int]]:
    producer = KafkaProducer(**kafka.client_settings())
    sent = [
        producer.send(f"{kafka.topic_prefix}clicks", b"%d" % number, b"u%d" % (number % KEYS))
        for number in numbers
    ]
    acks = [future.get(WAIT_S) for future in sent]
    producer.close()
    return {(ack.partition, ack.offset) for ack in acks}


def newest(numbers: range) -> dict[str, str]:
    return {f"u{number % KEYS}": str(number) for number in numbers}


def committed(kafka: KafkaConfig) -> dict[int, int]:
    """Return the broker's own word on the group's offsets."""
    group = f"{kafka.topic_prefix}{ROLE}"
    with closing(KafkaAdminClient(**kafka.client_settings())) as admin:
        offsets = admin.list_group_offsets({group: None})[group]
    return {tp.partition: found.offset for tp, found in offsets.items()}


def ends(wanted: set[tuple[int, int]]) -> dict[int, int]:
    partitions = {partition for partition, _ in wanted}
    return {p: 1 + max(offset for at, offset in wanted if at == p) for p in partitions}


def test_killed_in_the_middle_of_a_run(
    kafka_config: KafkaConfig, wanted: set[tuple[int, int]], start: Callable[..., Worker]
) -> None:
    first = start(hold_at=20)
    _, partition, _ = first.until(lambda line: line[0] == "holding")
    first.kill()
    begun, ended = first.handled("begin"), first.handled("end")
    in_flight = {offset for at, offset in begun - ended if at == partition}
    at_kill = committed(kafka_config)
    assert at_kill, "the kill came before the first commit: the test proves nothing"
    for p, offset in at_kill.items():
        assert {(p, done) for done in range(offset)} <= ended
    assert at_kill.get(partition, 0) <= min(in_flight)

    second = start()
    _, table, *_ = second.until(lambda line: line[0] == "ready")
    assert table, "the table was lost"
    second.until_all({(p, offset) for p, offset in wanted if offset >= at_kill.get(p, 0)})
    second.process.send_signal(signal.SIGTERM)
    assert second.rest() == 0
    assert ended | second.handled("end") == wanted
    assert min(in_flight) in {offset for p, offset in second.handled("end") if p == partition}
    assert committed(kafka_config) == ends(wanted)


def test_a_clean_stop_finishes_and_commits_the_run_in_flight(
    kafka_config: KafkaConfig, wanted: set[tuple[int, int]], start: Callable[..., Worker]
) -> None:
    worker = start(hold_at=5)
    _, partition, last = worker.until(lambda line: line[0] == "holding")
    worker.process.send_signal(signal.SIGTERM)
    worker.go_on()
    assert worker.rest() == 0
    assert (partition, last) in worker.handled("end")
    done = worker.handled("end")
    assert committed(kafka_config) == ends(done)
    assert done == {(p, offset) for p, end in ends(done).items() for offset in range(end)}

    again = start()
    again.until_all(wanted - done)
    assert again.handled("begin") == wanted - done, "a record was handled twice after a clean stop"


def test_an_agent_that_raises_ends_the_process_without_acknowledging(
    kafka_config: KafkaConfig, wanted: set[tuple[int, int]], start: Callable[..., Worker]
) -> None:
    worker = start(fail_at=7)
    _, partition, first = worker.until(lambda line: line[0] == "failing")
    assert worker.rest() == 1
    assert committed(kafka_config).get(partition, 0) <= first

    again = start()
    again.until_all(wanted - worker.handled("end"))


def test_transaction_markers_do_not_stop_the_commit(
    kafka_config: KafkaConfig, start: Callable[..., Worker]
) -> None:
    topic = f"{kafka_config.topic_prefix}clicks"
    producer = KafkaProducer(**kafka_config.client_settings(), transactional_id="shop")
    producer.init_transactions()
    wanted = set()
    for _ in range(20):
        producer.begin_transaction()
        sent = [producer.send(topic, b"%d" % at, b"u%d" % at) for at in range(20)]
        producer.commit_transaction()
        wanted |= {(ack.partition, ack.offset) for ack in (s.get(WAIT_S) for s in sent)}
    producer.close()
    worker = start()
    worker.until_all(wanted)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.rest() == 0
    assert committed(kafka_config) == ends(wanted)


# Tables ----------------------------------------------------------------------------------------


def fill_table(wanted: set[tuple[int, int]], start: Callable[..., Worker]) -> None:
    worker = start()
    worker.until_all(wanted)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.rest() == 0


def changelog(kafka: KafkaConfig) -> str:
    return f"{kafka.topic_prefix}{ROLE}-newest-changelog"


def table_at_start(start: Callable[..., Worker]) -> Any:
    return start().until(lambda line: line[0] == "ready")[1]


def test_a_table_whose_disk_is_lost_comes_back_from_its_changelog(
    kafka_config: KafkaConfig,
    wanted: set[tuple[int, int]],
    start: Callable[..., Worker],
    tmp_path: Path,
) -> None:
    fill_table(wanted, start)
    shutil.rmtree(tmp_path / "state")
    assert table_at_start(start) == newest(range(RECORDS))


def test_a_changelog_that_ends_in_a_hole_is_read_to_its_end(
    kafka_config: KafkaConfig,
    wanted: set[tuple[int, int]],
    start: Callable[..., Worker],
    tmp_path: Path,
) -> None:
    fill_table(wanted, start)
    producer = KafkaProducer(**kafka_config.client_settings(), transactional_id="hole")
    producer.init_transactions()
    for partition in range(kafka_config.partitions):
        producer.begin_transaction()
        producer.send(changelog(kafka_config), b"last", b"u-last", partition=partition)
        producer.commit_transaction()  # its marker takes the last offset, and is never delivered
    producer.close()
    shutil.rmtree(tmp_path / "state")
    assert table_at_start(start) == {**newest(range(RECORDS)), "u-last": "last"}
