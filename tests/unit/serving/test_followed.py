"""Topics that serving follows: when it looks, and what a broker that is away changes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from features.catalog import Catalog
from features.store import MemoryStore
from serving.agent import ServingLoop
from serving.followed import Followed
from stream.batching import PlainRecord, Record
from stream.broadcast import BroadcastReader
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from tests.unit.serving.shop import PLAIN, PlainModels


class Broker:
    """What topics hold that nobody has read yet; `away` names those that don't answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records: dict[str, list[Any]] = {}
        self.away: set[str] = set()
        broker = self

        def poll(reader: BroadcastReader, take: Callable[[Any], object], timeout_s: float) -> int:
            del timeout_s
            broker._answer(reader.topic)
            new = broker.records.pop(reader.topic, [])
            for record in new:
                take(record)
            return len(new)

        def first_offsets(reader: BroadcastReader) -> dict[int, int]:
            broker._answer(f"first of {reader.topic}")
            return {0: 0}

        monkeypatch.setattr(BroadcastReader, "poll", poll)
        monkeypatch.setattr(BroadcastReader, "first_offsets", first_offsets)

    def _answer(self, topic: str) -> None:
        if topic in self.away:
            raise Unavailable(topic)


def test_topics_are_looked_at_together_and_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, clock = Broker(monkeypatch), ManualClock()
    taken: list[Record] = []
    followed = Followed(KafkaConfig(), clock, "two", 1.0, {"a": taken.append, "b": taken.append})
    one = PlainRecord(b"k", b"v", 0)
    broker.records = {"a": [one], "b": [one, one]}
    assert followed.follow() == 3
    broker.records = {"a": [one]}
    clock.advance(0.9)
    assert followed.follow() is None
    clock.advance(0.1)
    assert followed.follow() == 1
    assert len(taken) == 4


def test_what_came_before_the_broker_went_away_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, taken = Broker(monkeypatch), list[Record]()
    followed = Followed(KafkaConfig(), ManualClock(), "two", 0.0, dict.fromkeys("ab", taken.append))
    broker.records, broker.away = {"a": [PlainRecord(b"k", b"v", 0)]}, {"b", "first of a"}
    assert (followed.follow(), len(taken)) == (1, 1)
    assert followed.first_offsets("a") == {}


def test_who_is_to_be_forgotten_is_so_though_it_isnt_known_where_the_topic_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker(monkeypatch)
    loop = ServingLoop(
        KafkaConfig(),
        PLAIN,
        store=MemoryStore(),
        catalog=Catalog(2, texts=True),
        models=PlainModels(),
        clock=ManualClock(),
    )
    forgot: list[int] = []
    monkeypatch.setattr(loop._answerer, "forget", lambda: forgot.append(1))
    topic = loop._topics.forget
    said = b'{"user_id": "ann"}'
    broker.records = {
        topic: [SimpleNamespace(key=b"", value=said, partition=0, offset=0, timestamp=0)]
    }
    broker.away = {f"first of {topic}"}
    loop._follow_forget()
    assert (forgot, len(loop._answerer.forgotten)) == ([1], 1)
