"""What the benches of latency and of new items make of what they saw."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from infra.bench import shopping
from infra.bench.cold_item import bar
from infra.bench.latency import bars
from infra.bench.shopping import Shopping
from stream.events import json_encode, msgpack_encode


def seen(**other: float) -> dict[str, float]:
    figures = {"answered": 1.0, "knew_at_once": 0.5}
    for name in ("pushed", "asked", "ingest", "profile", "serving", "made"):
        figures |= {f"{name}_p50": 20.0, f"{name}_p90": 60.0, f"{name}_p99": 200.0}
    return {**figures, **other}


def test_latency_holds_only_with_both_percentiles_and_some_answers() -> None:
    assert all(found.holds for found in bars(100, seen()))
    assert not bars(100, seen(pushed_p50=51.0))[0].holds
    assert not bars(100, seen(pushed_p99=251.0))[0].holds
    assert not bars(100, seen(answered=0.0, pushed_p50=0.0))[0].holds


def test_a_new_item_that_never_comes_holds_nothing() -> None:
    assert bar([0.2] * 39 + [4.0]).holds
    assert not bar([0.2] * 20 + [float("inf")] * 20).holds


class Broker:
    """Answers each click with a push, and each request by what was known a moment before."""

    def __init__(self) -> None:
        self.newest: dict[str, str] = {}
        self.out: list[tuple[str, bytes]] = []
        self.late: list[tuple[str, str]] = []

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        said = shopping._read_json(value)
        if topic == "requests":
            answer = {
                "user_id": said.user_id,
                "request_id": said.request_id,
                "seen_event_id": self.newest.get(said.user_id),
                "trigger": "request",
            }
            self.out.append(("recommendations", json_encode(answer)))
        else:
            self.late.append((said.user_id, said.event_id))

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        time.sleep(0.001)
        found: dict[TopicPartition, list[Any]] = {}
        for topic, value in self.out:
            found.setdefault(TopicPartition(topic, 0), []).append(SimpleNamespace(value=value))
        self.out = []
        for user_id, event_id in self.late:
            self.newest[user_id] = event_id
            example = {"user_id": user_id, "event_id": event_id}
            self.out += [("events", json_encode(example)), ("examples", msgpack_encode(example))]
            timings = {"features_ms": 1.0, "score_ms": 2.0, "total_ms": 3.0}
            push: dict[str, Any] = {"user_id": user_id, "seen_event_id": event_id}
            push |= {"trigger": "event", "timings": timings}
            self.out.append(("recommendations", json_encode(push)))
        self.late = []
        return found

    def close(self, timeout: float = 0) -> None:
        """Nothing to close."""


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shopping]:
    broker = Broker()
    monkeypatch.setattr(shopping, "KafkaProducer", lambda **_: broker)
    monkeypatch.setattr(shopping, "listener", lambda *_: broker)
    monkeypatch.setattr(shopping, "DRAIN_S", 0.1)
    yield Shopping("", per_s=200, seed=1)


def test_every_event_has_its_push_and_every_tenth_an_answer_that_knows_it(shop: Shopping) -> None:
    since_s = time.monotonic()
    shop.play(0.5)
    shop.drain()
    figures = shop.figures(since_s)
    assert figures["events"] >= 20
    assert figures["answered"] == 1.0
    assert 0 < figures["ingest_p50"] <= figures["pushed_p99"] < 1_000
    assert figures["asked_p50"] > 0
    assert 0 <= figures["serving_p50"] < figures["pushed_p99"]
    assert figures["made_p50"] == 3.0
    assert figures["knew_at_once"] < 1.0, "asked before the event was known"
