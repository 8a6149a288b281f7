"""The profile killed with -9 between two of its effects: each event counts once, on all sides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from kafka import KafkaProducer

from features.store_config import StoreConfig
from features.store_feast import FeastStore
from stream.batching import Record
from stream.broadcast import BroadcastReader
from stream.connect import KafkaConfig
from stream.events import (
    Event,
    Example,
    ItemVector,
    decode_example,
    json_encode,
    msgpack_encode,
)
from stream.topics import Topics

WAIT_S = 60
EVENTS = 1_500
USERS = [f"user-{n}" for n in range(25)]
ITEMS = [f"item-{n}" for n in range(20)]


class Worker:
    """A profile process, and what it says."""

    def __init__(self, kafka: KafkaConfig, data: Path, step: str = "never", at: int = 0) -> None:
        command = [sys.executable, "-m", "tests.system.profile_worker"]
        command += [kafka.bootstrap_servers, kafka.topic_prefix, str(kafka.partitions)]
        command += [str(data), step, str(at)]
        with (data / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True
            )

    def until(self, word: str) -> list[Any]:
        """Read what it says up to a line that begins with the word."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said: list[Any] = json.loads(line)
            if said[0] == word:
                return said
        message = f"the worker ended with {self.process.wait()} before it said {word!r}"
        raise AssertionError(message)

    def kill(self) -> None:
        """Kill -9, and wait for the end."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def fill(kafka: KafkaConfig) -> list[Event]:
    """Publish a catalogue and events: one in twenty comes twice, as after a kill of ingest."""
    topics, rng = Topics(kafka.topic_prefix), Random(5)
    vectors = np.eye(64, dtype="<f2")
    events = [
        Event(
            event_id=f"event-{n}",
            user_id=rng.choice(USERS),
            item_id=rng.choice(ITEMS),
            kind="click",
            ts_ms=1_700_000_000_000 + n,
            source=f"{topics.clicks}-0-{n}",
            received_ms=1_700_000_000_000 + n,
        )
        for n in range(EVENTS)
    ]
    producer = KafkaProducer(**kafka.client_settings())
    for n, item_id in enumerate(ITEMS):
        item = ItemVector(
            item_id=item_id,
            vector=vectors[n % 2].tobytes(),
            encoder="test",
            text_hash="",
            first_seen_ms=0,
            category=(("tea", "bikes")[n % 2],),
        )
        producer.send(topics.item_vectors, msgpack_encode(item), item_id.encode())
    for event in events:
        for _ in range(1 + (rng.random() < 0.05)):
            producer.send(topics.events, json_encode(event), event.user_id.encode())
    producer.flush(WAIT_S)
    producer.close()
    return events


def follow_examples(reader: BroadcastReader, count: int) -> list[Example]:
    """Read examples until `count` different events have one."""
    examples: list[Example] = []

    def take(record: Record) -> None:
        examples.append(decode_example(record.value or b""))

    waits = 0
    while len({example.event_id for example in examples}) < count:
        waits = 0 if reader.poll(take, 1.0) else waits + 1
        assert waits < WAIT_S, f"{len(examples)} examples, then none for {WAIT_S} s"
    return examples


def test_killed_between_two_effects(kafka_config: KafkaConfig, tmp_path: Path) -> None:
    events = fill(kafka_config)
    workers: list[Worker] = []
    try:
        for step, at in (("stored", 3), ("published", 4)):
            workers.append(Worker(kafka_config, tmp_path, step, at))
            workers[-1].until("holding")
            workers[-1].kill()
        workers.append(Worker(kafka_config, tmp_path))
        with BroadcastReader(kafka_config, Topics(kafka_config.topic_prefix).examples) as reader:
            examples = follow_examples(reader, EVENTS)
        workers[-1].process.terminate()
        assert workers[-1].process.wait(WAIT_S) == 0
    finally:
        for worker in workers:
            worker.kill()

    # Every event has its example, and only repeats of one and the same.
    by_place: dict[tuple[int, int], Example] = {}
    for example in examples:
        place = (example.partition, example.offset)
        assert by_place.setdefault(place, example) == example
    assert Counter(e.event_id for e in by_place.values()) == Counter(e.event_id for e in events)
    # Histories went on where they were, without a gap and without a repeat.
    seen: Counter[str] = Counter()
    for example in sorted(by_place.values(), key=lambda e: (e.partition, e.offset)):
        assert example.user_events == seen[example.user_id]
        assert len(example.history) == min(50, seen[example.user_id])
        seen[example.user_id] += 1
    # And so did the states, as the online store shows them.
    store = FeastStore(StoreConfig(directory=str(tmp_path / "features")))
    rows = store.read(USERS)
    store.close()
    wanted = Counter(event.user_id for event in events)
    newest = {event.user_id: event.event_id for event in events}
    for user_id, row in zip(USERS, rows, strict=True):
        assert row is not None
        assert (row.events, row.last_event_id) == (wanted[user_id], newest[user_id])
