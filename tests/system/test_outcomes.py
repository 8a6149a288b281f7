"""What was shown and what was done, through a real broker; nothing of what was undone."""

from __future__ import annotations

import time
from pathlib import Path

from kafka import KafkaProducer

from stream.batching import Record
from stream.broadcast import BroadcastReader
from stream.connect import KafkaConfig
from stream.events import (
    Click,
    Outcome,
    Recommendation,
    RecommendedItem,
    decode_outcome,
    json_encode,
)
from stream.topics import Topics
from tests.conftest import Spawn

WAIT_S = 60.0


def answer(name: str, *items: str) -> tuple[bytes, bytes]:
    made = Recommendation(
        recommendation_id=name,
        request_id=name,
        user_id="ann",
        ts_ms=int(time.time() * 1000),
        items=tuple(RecommendedItem(item_id=item, score=0.5) for item in items),
        path="model",
        model_version=1,
    )
    return b"ann", json_encode(made)


def click(item: str) -> bytes:
    now_ms = int(time.time() * 1000)
    return json_encode(Click(user_id="ann", item_id=item, ts=now_ms))


def test_outcomes(kafka_config: KafkaConfig, spawn: Spawn, tmp_path: Path) -> None:
    topics = Topics(kafka_config.topic_prefix)
    spawn(
        "infra.cli",
        "worker",
        "ingest-profile",
        env={
            "TIDEMILL_KAFKA_BOOTSTRAP_SERVERS": kafka_config.bootstrap_servers,
            "TIDEMILL_KAFKA_TOPIC_PREFIX": kafka_config.topic_prefix,
            "TIDEMILL_RUN_DATA_DIR": str(tmp_path / "data"),
            "TIDEMILL_METRICS_INGEST_PROFILE": "-1",
            "TIDEMILL_OUTCOMES_ON": "true",
            "TIDEMILL_OUTCOMES_CLICK_WINDOW_S": "3",
            "TIDEMILL_OUTCOMES_PURCHASE_WINDOW_S": "5",
        },
    )
    serving = KafkaProducer(
        **kafka_config.client_settings(), transactional_id=f"{kafka_config.topic_prefix}t"
    )
    serving.init_transactions()
    shop = KafkaProducer(**kafka_config.client_settings())
    for name, items, commits in (("undone", "xyz", False), ("told", "abc", True)):
        serving.begin_transaction()
        key, value = answer(name, *items)
        serving.send(topics.recommendations, value, key)
        serving.flush(WAIT_S)
        if commits:
            serving.commit_transaction()
        else:
            serving.abort_transaction()
    shop.send(topics.clicks, click("b"), b"ann")
    shop.flush(WAIT_S)

    found: list[Outcome] = []

    def take(record: Record) -> None:
        found.append(decode_outcome(record.value or b""))

    reader = BroadcastReader(kafka_config, topics.outcomes)
    until_s = time.monotonic() + WAIT_S
    n = 0
    while sum(one.final for one in found) < 3 and time.monotonic() < until_s:
        if not reader.poll(take, 1.0):
            n += 1  # Time passes on the partition by its records alone.
            shop.send(topics.clicks, click("other"), b"ann")
            shop.flush(WAIT_S)
            serving.begin_transaction()
            serving.send(topics.recommendations, answer(f"later-{n}")[1], b"ann")
            serving.flush(WAIT_S)
            serving.commit_transaction()
    for part in (reader, serving, shop):
        part.close()
    told = {(one.recommendation_id, one.item_id, one.taken) for one in found if one.final}
    assert told == {("told", "a", False), ("told", "b", True), ("told", "c", False)}
    assert [one.item_id for one in found if not one.final] == ["b"]
