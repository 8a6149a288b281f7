"""One answer to each request, whatever is killed, frozen or moved while answers are on their way.

What counts is what a reader of committed records sees.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from kafka import KafkaConsumer

from infra.broker import EmbeddedKafka
from infra.topic_admin import create_topics
from stream.connect import KafkaConfig
from tests.conftest import Spawn
from tests.system.test_serving import (
    DEADLINE_S,
    Shop,
    process,
    running,
    shop,
    uncommitted,
    wait_for,
)
from tests.unit.serving.shop import PLAIN, publish

__all__ = ["shop"]

STOPS = "tests.system.serving_stops"
REFUSED = "left to the group what was in hand"


def stopping(
    spawn: Spawn, kafka: KafkaConfig, stop: str, *instance: str
) -> subprocess.Popen[bytes]:
    where = (kafka.bootstrap_servers, kafka.topic_prefix)
    return spawn(STOPS, *where, stop, *instance, name=stop)


def frozen(worker: subprocess.Popen[bytes]) -> bool:
    status = Path(f"/proc/{worker.pid}/status").read_text()
    return "State:\tT" in status or "State:\tt" in status


def settled(kafka: KafkaConfig, shop: Shop) -> None:
    """Everything is answered and committed; what came is in `shop.answers`."""
    shop.read_until(shop.all_answered)
    shop.read_until(lambda: not uncommitted(kafka))
    for _ in range(5):
        shop.read()


def answered_once(shop: Shop) -> None:
    assert {len(given) for given in shop.answers.values()} == {1}
    ids = {given[0].recommendation_id for given in shop.answers.values()}
    assert len(ids) == len(shop.asked)


def written(kafka: KafkaConfig, shop: Shop) -> int:
    """Answers on the topic, those of transactions that were undone included."""
    consumer = KafkaConsumer(**kafka.client_settings(), auto_offset_reset="earliest")
    consumer.assign(shop._partitions(shop.topics.recommendations))
    count, idle = 0, 0
    while idle < 3:
        polled = sum(map(len, consumer.poll(timeout_ms=300).values()))
        count, idle = count + polled, 0 if polled else idle + 1
    consumer.close()
    return count


@pytest.mark.parametrize("point", ["end", "ended"])
def test_a_kill_within_a_transaction_leaves_one_answer_each(
    kafka_config: KafkaConfig, shop: Shop, spawn: Spawn, point: str
) -> None:
    shop.ask(200)
    first = stopping(spawn, kafka_config, f"{point}:3:KILL", "serving-0")
    assert first.wait(DEADLINE_S) == -signal.SIGKILL
    shop.read()
    second = process(spawn, kafka_config)
    settled(kafka_config, shop)
    answered_once(shop)
    undone = written(kafka_config, shop) - len(shop.asked)
    assert (undone > 0) == (point != "ended"), "killed where it was not meant to be"
    second.terminate()
    assert second.wait(DEADLINE_S) == 0


def test_frozen_workers_that_wake_late_add_nothing(
    kafka_config: KafkaConfig, shop: Shop, spawn: Spawn, tmp_path: Path
) -> None:
    """Two are frozen past their session, at two points; the third answers; then they wake."""
    shop.ask(400)
    zombies = [stopping(spawn, kafka_config, "sent:3:STOP")]
    wait_for(lambda: frozen(zombies[0]))
    zombies.append(stopping(spawn, kafka_config, "end:2:STOP"))
    wait_for(lambda: frozen(zombies[1]))
    shop.read()
    assert not shop.all_answered(), "frozen too late to test anything"
    third = stopping(spawn, kafka_config, "end:0:STOP")
    settled(kafka_config, shop)
    for zombie in zombies:
        os.kill(zombie.pid, signal.SIGCONT)
    logs = [tmp_path / "sent:3:STOP.log", tmp_path / "end:2:STOP.log"]
    wait_for(lambda: all(REFUSED in log.read_text() for log in logs))
    shop.ask(200)
    settled(kafka_config, shop)
    answered_once(shop)
    for worker in (*zombies, third):
        assert worker.poll() is None, "it works on, as a new member of the group"
        worker.terminate()
        assert worker.wait(DEADLINE_S) == 0


def test_workers_that_come_and_go_leave_one_answer_each(
    kafka_config: KafkaConfig, shop: Shop, spawn: Spawn
) -> None:
    shop.ask(1_500)
    first = stopping(spawn, kafka_config, "end:0:STOP")
    shop.read_until(lambda: len(shop.answers) >= 100)
    second = stopping(spawn, kafka_config, "end:0:STOP")
    shop.ask(500)
    shop.read_until(lambda: len(shop.answers) >= 1_000)
    first.terminate()
    shop.ask(200)
    settled(kafka_config, shop)
    answered_once(shop)
    assert first.wait(DEADLINE_S) == 0
    second.terminate()
    assert second.wait(DEADLINE_S) == 0


def test_a_request_sent_again_gets_its_answer_again_after_a_new_model_and_a_restart(
    kafka_config: KafkaConfig, shop: Shop, tmp_path: Path
) -> None:
    def ask_again() -> None:
        asked, shop.asked = shop.asked, []
        shop.ask(len(asked))
        assert shop.asked == asked

    def times(count: int) -> bool:
        return all(len(given) == count for given in shop.answers.values())

    with running(kafka_config, PLAIN):
        shop.ask(40)
        shop.read_until(shop.all_answered)
        shop.announce(publish(tmp_path, 1))
        ask_again()
        shop.read_until(lambda: times(2))
    with running(kafka_config, PLAIN):
        ask_again()
        shop.read_until(lambda: times(3))
        shop.asked = [f"r{n}" for n in range(40)]
        shop.ask(1)
        shop.read_until(shop.all_answered)
    assert shop.answers["r40"][0].model_version == 1, "a new request gets the new model"
    for request_id in shop.asked[:-1]:
        assert len(set(shop.answers[request_id])) == 1
        assert shop.answers[request_id][0].model_version is None


@pytest.mark.slow
def test_a_broker_killed_within_a_transaction_costs_and_doubles_nothing(
    tmp_path: Path, spawn: Spawn
) -> None:
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        kafka = KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic_prefix="broken.")
        create_topics(kafka)
        shop = Shop(kafka)
        shop.stock()
        shop.ask(300)
        worker = stopping(spawn, kafka, "end:4:STOP")
        wait_for(lambda: frozen(worker))
        shop.read()
        assert not shop.all_answered()
        shop.close()
        broker.kill()
        os.kill(worker.pid, signal.SIGCONT)
        broker.start()
        asked, shop = shop.asked, Shop(kafka)
        shop.asked = asked
        settled(kafka, shop)
        answered_once(shop)
        shop.ask(100)
        settled(kafka, shop)
        answered_once(shop)
        assert worker.poll() is None
        worker.terminate()
        assert worker.wait(DEADLINE_S) == 0
        shop.close()
