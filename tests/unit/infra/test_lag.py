"""Which topics count as unread, without a broker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from infra import lag
from stream.connect import KafkaConfig


def test_outcomes_count_where_the_learner_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def connect(_: KafkaConfig) -> Iterator[None]:
        yield None

    def offsets(_: object, places: list[TopicPartition], spec: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 9 if spec == OffsetSpec.LATEST else 2)

    def committed(_: object, group: str, places: list[TopicPartition]) -> dict[Any, int]:
        return {place: 4 for place in places if group == "tidemill.learner"}

    monkeypatch.setattr(lag, "connect", connect)
    monkeypatch.setattr(lag, "partition_counts", lambda _, names: dict.fromkeys(names, 2))
    monkeypatch.setattr(lag, "offsets", offsets)
    monkeypatch.setattr(lag, "_committed", committed)
    off, on = lag.lag(KafkaConfig()), lag.lag(KafkaConfig(), outcomes=True)
    assert on == off | {("learner", "outcomes"): 10}
    assert off["serving", "requests"] == 14
    assert lag.unread(KafkaConfig(), outcomes=True)["outcomes"] == 10
