"""Serving on a real Kafka: every request answered, whatever happens to models and processes."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition

from infra.broker import EmbeddedKafka
from infra.topic_admin import create_topics
from serving.config import ServingConfig
from stream.connect import KafkaConfig
from stream.events import (
    AdapterVersion,
    Recommendation,
    decode_recommendation,
    json_encode,
    msgpack_encode,
)
from stream.metrics import ADAPTER_SWAPS, ADAPTER_VERSION, RETRIES, ROLE_READY
from stream.topics import Topics
from tests.conftest import Spawn
from tests.system.serving_process import serving
from tests.unit.serving.shop import PLAIN, TEAS, example, publish, shelf

DEADLINE_S = 60.0


class Shop:
    """The other side of the topics: asks, publishes, and reads what is answered."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self.topics = Topics(kafka.topic_prefix)
        self.asked: list[str] = []
        self.answers: dict[str, list[Recommendation]] = defaultdict(list)
        self.pushes: list[Recommendation] = []
        self._producer = KafkaProducer(**kafka.client_settings())
        self._consumer = KafkaConsumer(
            **kafka.client_settings(),
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self._consumer.assign(self._partitions(self.topics.recommendations))

    def stock(self) -> None:
        for item in shelf():
            self._send(self.topics.item_vectors, item.item_id, msgpack_encode(item))
        self._producer.flush(DEADLINE_S)

    def ask(self, count: int) -> None:
        for _ in range(count):
            request_id, user_id = f"r{len(self.asked)}", f"u{len(self.asked) % 120}"
            self.asked.append(request_id)
            value = json.dumps({"request_id": request_id, "user_id": user_id, "k": 3})
            self._send(self.topics.requests, user_id, value.encode())
        self._producer.flush(DEADLINE_S)

    def announce(self, version: AdapterVersion) -> None:
        self._send(self.topics.adapters, version.model, json_encode(version))
        self._producer.flush(DEADLINE_S)

    def act(self, user_id: str, offset: int) -> None:
        value = msgpack_encode(example(user_id, f"e{offset}", offset))
        self._send(self.topics.examples, user_id, value)
        self._producer.flush(DEADLINE_S)

    def read(self) -> None:
        for records in self._consumer.poll(timeout_ms=100).values():
            for record in records:
                answer = decode_recommendation(record.value)
                assert record.key == answer.user_id.encode()
                if answer.request_id is None:
                    self.pushes.append(answer)
                else:
                    self.answers[answer.request_id].append(answer)

    def read_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < deadline, f"{len(self.answers)} of {len(self.asked)} answered"
            self.read()

    def all_answered(self) -> bool:
        return len(self.answers) == len(self.asked)

    def versions(self) -> set[int | None]:
        return {answer.model_version for given in self.answers.values() for answer in given}

    def close(self) -> None:
        self._consumer.close()
        self._producer.close()

    def _send(self, topic: str, key: str, value: bytes) -> None:
        self._producer.send(topic, key=key.encode(), value=value)

    def _partitions(self, topic: str) -> list[TopicPartition]:
        deadline = time.monotonic() + DEADLINE_S
        while not (numbers := self._consumer.partitions_for_topic(topic)):
            assert time.monotonic() < deadline, f"no topic {topic}"
        return [TopicPartition(topic, number) for number in numbers]


@pytest.fixture
def shop(kafka_config: KafkaConfig) -> Iterator[Shop]:
    shop = Shop(kafka_config)
    shop.stock()
    yield shop
    shop.close()


@contextmanager
def running(kafka: KafkaConfig, config: ServingConfig) -> Iterator[None]:
    """The loop in a thread; what it raised is raised here."""
    stop, raised = threading.Event(), []

    def work() -> None:
        try:
            serving(kafka, config).run(stop)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert raised == []


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def process(spawn: Spawn, kafka: KafkaConfig) -> subprocess.Popen[bytes]:
    return spawn("tests.system.serving_process", kafka.bootstrap_servers, kafka.topic_prefix)


def test_topics_that_are_not_there_yet_are_waited_for(kafka: EmbeddedKafka) -> None:
    """A role may be up before its topics are."""
    late = KafkaConfig(bootstrap_servers=kafka.bootstrap_servers, topic_prefix="late.")
    retries = RETRIES.labels(role="serving")
    before = retries._value.get()
    with running(late, PLAIN):
        wait_for(lambda: bool(retries._value.get() > before))
        create_topics(late)
        shop = Shop(late)
        shop.stock()
        shop.ask(10)
        shop.read_until(shop.all_answered)
        shop.close()


def uncommitted(kafka: KafkaConfig) -> dict[str, int]:
    """Records of `requests` that the group has not committed, by partition."""
    admin: Any = KafkaAdminClient(**kafka.client_settings())
    consumer = KafkaConsumer(
        **kafka.client_settings(), group_id=f"{kafka.topic_prefix}serving", enable_auto_commit=False
    )
    topic = Topics(kafka.topic_prefix).requests
    places = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
    ends = consumer.end_offsets(places)
    lags = {str(place): ends[place] - (consumer.committed(place) or 0) for place in places}
    consumer.close()
    admin.close()
    return {place: lag for place, lag in lags.items() if lag}


def test_models_change_while_requests_flow_and_each_is_answered_once(
    kafka_config: KafkaConfig, shop: Shop, tmp_path: Path
) -> None:
    refused = ADAPTER_SWAPS.labels(outcome="refused")
    with running(kafka_config, PLAIN):
        shop.ask(50)
        shop.read_until(shop.all_answered)
        assert shop.versions() == {None}
        wait_for(lambda: ROLE_READY._value.get() == 1)

        for version in (1, 2, 3):
            shop.announce(publish(tmp_path, version))

            def in_use(version: int = version) -> bool:
                shop.ask(20)
                return version in shop.versions()

            shop.read_until(in_use)

        before = refused._value.get()
        tampered = publish(tmp_path, 4)
        Path(tampered.path).write_bytes(Path(tampered.path).read_bytes().replace(b"x", b"y"))
        shop.announce(tampered)

        def refused_by_now() -> bool:
            shop.ask(20)
            return bool(refused._value.get() == before + 1)

        shop.read_until(refused_by_now)
        shop.ask(20)
        shop.read_until(shop.all_answered)

    assert ROLE_READY._value.get() == 0
    assert ADAPTER_VERSION.labels(tenant="")._value.get() == 3
    assert 4 not in shop.versions()
    assert {len(given) for given in shop.answers.values()} == {1}
    last = shop.answers[shop.asked[-1]][0]
    assert last.model_version == 3
    assert uncommitted(kafka_config) == {}


def test_a_killed_process_costs_no_request_and_repeats_keep_their_id(
    kafka_config: KafkaConfig, shop: Shop, spawn: Spawn
) -> None:
    shop.ask(3_000)
    first = process(spawn, kafka_config)
    shop.read_until(lambda: len(shop.answers) >= 200)
    first.kill()
    first.wait(DEADLINE_S)
    assert not shop.all_answered(), "killed too late to test anything"

    second = process(spawn, kafka_config)
    shop.read_until(shop.all_answered)
    shop.read_until(lambda: not uncommitted(kafka_config))
    second.send_signal(signal.SIGTERM)
    assert second.wait(DEADLINE_S) == 0

    for given in shop.answers.values():
        assert len({answer.recommendation_id for answer in given}) == 1
        assert len({answer.items for answer in given}) == 1
    ids = {given[0].recommendation_id for given in shop.answers.values()}
    assert len(ids) == len(shop.asked)


def test_a_users_own_events_bring_fresh_lists_and_a_dead_letter_stops_nobody(
    kafka_config: KafkaConfig, shop: Shop
) -> None:
    config = ServingConfig(push=True, push_debounce_s=0.2)
    shop.act("u1", 0)
    with running(kafka_config, config):
        shop.read_until(lambda: len(shop.pushes) == 1)
        for offset in (1, 2, 3):
            shop.act("u1", offset)
        shop.read_until(lambda: any(p.recommendation_id.endswith("-3") for p in shop.pushes))
        shop._send(shop.topics.requests, "u1", b"{broken")
        shop.ask(30)
        shop.read_until(shop.all_answered)

    push = shop.pushes[0]
    assert (push.user_id, push.trigger, push.path) == ("u1", "event", "no_model")
    assert push.recommendation_id == f"{shop.topics.events}-0-0"
    assert push.seen_event_id == "u1-1"
    assert TEAS[0] not in {entry.item_id for entry in push.items}
    letters = KafkaConsumer(
        shop.topics.dead_letters,
        bootstrap_servers=kafka_config.servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=10_000,
    )
    assert next(letters).value == b"{broken"
    letters.close()
