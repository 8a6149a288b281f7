"""Serving when the broker goes away: it waits, and nothing that was asked is lost."""

from __future__ import annotations

from pathlib import Path

from infra.broker import EmbeddedKafka
from infra.topic_admin import create_topics
from stream.connect import KafkaConfig
from tests.conftest import Spawn
from tests.system.test_serving import DEADLINE_S, Shop, process


def test_serving_outlives_its_broker(tmp_path: Path, spawn: Spawn) -> None:
    folder = tmp_path / "kafka"
    with EmbeddedKafka(folder) as broker:
        kafka = KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic_prefix="outage.")
        port = int(kafka.bootstrap_servers.rpartition(":")[2])
        create_topics(kafka)
        before = Shop(kafka)
        before.stock()
        serving = process(spawn, kafka)
        before.ask(50)
        before.read_until(before.all_answered)
        before.close()

    with EmbeddedKafka(folder, port):
        after = Shop(kafka)
        after.asked += before.asked
        after.ask(50)
        after.read_until(after.all_answered)
        after.close()
        assert serving.poll() is None, "the process that was there before the outage"
        for given in after.answers.values():
            assert len({answer.recommendation_id for answer in given}) == 1

    serving.terminate()
    assert serving.wait(DEADLINE_S) == 0, "it stops by itself even while no broker answers"
