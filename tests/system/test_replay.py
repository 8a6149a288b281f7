"""A log goes into the topics of a real broker, whole, in order, and so that twice counts once."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from threading import Event as Flag

from rich.console import Console

from infra.demo.reading import read_topic
from infra.pace import Pace
from infra.replay import Replayed, progress_bar, replay
from stream.batching import PlainRecord, Run
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.formats import open_log
from stream.ingest import Ingest
from stream.topics import Topics

EVENTS = 500


def write_log(folder: Path) -> Path:
    path = folder / "events.jsonl"
    lines = (
        f'{{"ts_ms": {1_577_836_800_000 + n * 50}, "user_id": "u{n % 7}", "item_id": "i{n % 11}", '
        f'"kind": "{("view", "purchase", "review")[n % 3]}"}}\n'
        for n in range(EVENTS)
    )
    path.write_text("".join(lines))
    return path


def test_a_log_arrives_whole_and_twice_is_once(kafka_config: KafkaConfig, tmp_path: Path) -> None:
    log, topics = open_log(write_log(tmp_path)), Topics(kafka_config.topic_prefix)
    screen = io.StringIO()
    with progress_bar("log", log.total_events, Console(file=screen, width=120)) as report:
        done = replay(log.records(), kafka_config, Pace(SystemClock()), report=report)
    assert (done.events, done.sent["items"], done.stopped) == (EVENTS, 11, False)
    assert "500/500" in screen.getvalue()
    replay(log.records(), kafka_config, Pace(SystemClock()))

    ingest = Ingest(
        {topics.clicks: "clicks", topics.purchases: "purchases", topics.reviews: "reviews"}
    )
    accepted = duplicates = 0
    for topic in topics.raw_events:
        times: dict[bytes | None, int] = {}
        for place, record in read_topic(kafka_config, topic):
            plain = PlainRecord(record.key, record.value, record.offset, record.timestamp)
            result = ingest.take(Run(topic, place.partition, [plain]), SystemClock().now_ms())
            ingest.done(result)
            accepted += len(result.events)
            duplicates += result.duplicates
            assert times.setdefault(record.key, record.offset) <= record.offset
    assert (accepted, duplicates) == (EVENTS, EVENTS)


def test_a_part_of_a_log_and_a_stop(kafka_config: KafkaConfig, tmp_path: Path) -> None:
    log = open_log(write_log(tmp_path))
    part = replay(log.records(), kafka_config, Pace(SystemClock()), events=40)
    assert (part.events, part.stopped) == (40, False)

    stop = Flag()

    def enough(done: Replayed) -> None:
        if done.events >= 3:
            stop.set()

    slow = Pace(SystemClock(), rate_per_s=50)
    early = replay(log.records(), kafka_config, slow, stop=stop, report=enough)
    assert early.stopped
    assert 3 <= early.events < EVENTS // 2


def test_who_was_forgotten_is_left_out(kafka_config: KafkaConfig, tmp_path: Path) -> None:
    log, topics = open_log(write_log(tmp_path)), Topics(kafka_config.topic_prefix)
    users = {f"u{n}" for n in range(7)}
    left_out = min(users)
    done = replay(log.records(), kafka_config, Pace(SystemClock()), without=frozenset({left_out}))
    assert done.left_out > 0 and done.events == EVENTS - done.left_out
    sent = {
        json.loads(record.value or b"{}")["user_id"]
        for topic in topics.raw_events
        for _, record in read_topic(kafka_config, topic)
    }
    assert sent == users - {left_out}


def test_no_broker_is_said_with_what_to_do() -> None:
    # In a process of its own: kafka-python keeps the sockets whose connection was refused.
    code = (
        "import infra.replay as r; r.CONNECT_TIMEOUT_MS = 300\n"
        "r.Sender(r.KafkaConfig(bootstrap_servers='localhost:1'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("stream.errors.Unavailable: the broker at localhost:1")
    assert "is it running" in last
