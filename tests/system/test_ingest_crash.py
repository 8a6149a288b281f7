"""Ingest killed with -9 right after a publish was acked: no record is lost, each has one fate."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from infra.demo.reading import read_topic
from infra.replay import Sender
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.events import Event, decode_event
from stream.shop import Shop, ShopConfig
from stream.topics import RAW_EVENT_TOPICS, Topics

WAIT_S = 90
KILLS = (5, 8)
"""After how many publishes a worker dies: with events acked and their dead letters not yet, and
with both acked but not the run."""


def start(kafka: KafkaConfig, folder: Path, die_after: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.system.ingest_worker", kafka.bootstrap_servers]
    command += [kafka.topic_prefix, str(folder), str(die_after)]
    with (folder / "worker.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def send_a_shop(kafka: KafkaConfig) -> Counter[str]:
    """Send a shop's raw events; returns how many of each label."""
    shop = Shop(
        17, ShopConfig(start_ms=SystemClock().now_ms(), duplicate_share=0.1, broken_share=0.05)
    )
    sender, labels = Sender(kafka), Counter[str]()
    for _ in range(2_000):
        for record in shop.step():
            if record.topic_kind in RAW_EVENT_TOPICS:
                sender.send(record.topic_kind, record.key, record.value)
                labels[record.label] += 1
    sender.flush()
    sender.close()
    return labels


def published(kafka: KafkaConfig) -> tuple[list[Event], Counter[bytes]]:
    """The events, and the places that dead letters name, with how often."""
    topics = Topics(kafka.topic_prefix)
    events = [decode_event(record.value or b"") for _, record in read_topic(kafka, topics.events)]
    refused = Counter[bytes]()
    for _, record in read_topic(kafka, topics.dead_letters):
        headers = {name: value or b"" for name, value in record.headers}
        place = (headers[f"__connect.errors.{part}"] for part in ("topic", "partition", "offset"))
        refused[b" ".join(place)] += 1
    return events, refused


def test_no_record_is_lost_and_each_has_one_fate(kafka_config: KafkaConfig, tmp_path: Path) -> None:
    labels = send_a_shop(kafka_config)
    for die_after in KILLS:
        doomed = start(kafka_config, tmp_path, die_after)
        try:
            assert doomed.wait(WAIT_S) == -9
        finally:
            doomed.kill()
    worker = start(kafka_config, tmp_path, 0)
    try:
        deadline_s = time.monotonic() + WAIT_S
        wanted = (labels["event"] + labels["bot"], labels["broken"])
        found: tuple[int, int] = (0, 0)
        while found != wanted:
            assert time.monotonic() < deadline_s, (found, wanted)
            events, refused = published(kafka_config)
            found = (len({(event.user_id, event.event_id) for event in events}), len(refused))
    finally:
        worker.terminate()
        assert worker.wait(WAIT_S) == 0
    events, refused = published(kafka_config)
    assert {(e.user_id, e.event_id) for e in events if e.user_id.startswith("bot-")}
    # A publish repeats at most its 100 records; a new process has forgotten which copies it saw.
    repeats = len(events) - wanted[0] + refused.total() - wanted[1]
    assert repeats <= sum(KILLS) * 100 + labels["duplicate"]
