"""Questions on a real Kafka: answers, conversations over a restart, hand-overs, and forgetting."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaProducer

from features.catalog import Catalog
from infra.demo.reading import read_topic
from infra.search import search
from serving.agent import ServingLoop
from serving.answers.config import AnswersConfig
from serving.answers.desk import Desk
from stream.asked import Answer
from stream.connect import KafkaConfig
from stream.events import Request, json_encode, msgpack_encode
from stream.topics import Topics
from tests.system.serving_process import known_users
from tests.unit.serving.answers.shop import DOCUMENTS, ITEMS, REVIEWS
from tests.unit.serving.shop import PLAIN, PlainModels

DEADLINE_S = 60.0


class Shop:
    """The shop's side: what it sells, what is written, and what is asked."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self.kafka = kafka
        self.topics = Topics(kafka.topic_prefix)
        self.asked = 0
        self._producer = KafkaProducer(**kafka.client_settings())

    def send(self, topic: str, key: str, value: bytes | None) -> None:
        self._producer.send(topic, key=key.encode(), value=value)
        self._producer.flush(DEADLINE_S)

    def stock(self) -> None:
        for item in ITEMS:
            self.send(self.topics.item_vectors, item.item_id, msgpack_encode(item))
        for document in DOCUMENTS:
            self.send(self.topics.documents, document.document_id, json_encode(document))
        self.send(self.topics.documents, "broken", b'{"document_id": "broken"')
        for user, text, rating in REVIEWS:
            self.review(user, text, rating)

    def review(self, user: str, text: str, rating: float) -> None:
        review = {"user_id": user, "item_id": "fan", "ts": int(time.time() * 1000), "text": text}
        value = json.dumps(review | {"rating": rating}).encode()
        self.send(self.topics.reviews, user, value)

    def ask(
        self, question: str, item: str | None = "fan", conversation: str | None = None
    ) -> Answer:
        self.asked += 1
        request = Request(
            request_id=f"q{self.asked}-{time.monotonic_ns()}",
            user_id="zoe",
            question=question,
            context_item=item,
            conversation_id=conversation,
            k=3,
        )
        made = search(self.kafka, request, DEADLINE_S)
        assert isinstance(made.answer, Answer)
        self.shown = [one.item_id for one in made.items]
        return made.answer

    def votes(self) -> tuple[int, int]:
        votes = self.ask("Is it loud?").votes
        return (votes.say, votes.deny) if votes is not None else (0, 0)

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def close(self) -> None:
        self._producer.close()


@contextmanager
def serving(kafka: KafkaConfig) -> Iterator[None]:
    """The serving role in a thread, without an encoder: texts are read by words."""
    stop, raised = threading.Event(), []
    loop = ServingLoop(
        kafka,
        PLAIN,
        store=known_users(),
        catalog=Catalog(width=2, texts=True),
        models=PlainModels(),
        desk=Desk(AnswersConfig()),
    )

    def work() -> None:
        try:
            loop.run(stop)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    assert raised == []


@pytest.fixture
def shop(kafka_config: KafkaConfig) -> Iterator[Shop]:
    shop = Shop(kafka_config)
    shop.stock()
    yield shop
    shop.close()


def test_a_shop_is_asked_and_remembers_the_conversation_over_a_restart(shop: Shop) -> None:
    with serving(shop.kafka):
        assert shop.ask("How heavy is it?").value == "2.5 kg"
        assert shop.ask("Within how many days can I send an item back?").route == "policy"
        shop.until(lambda: shop.votes() == (1, 2))
        first = shop.ask("Find me a fan under 100", None, "talk")
        assert first.wishes is not None
        assert first.wishes.price_max == 100
        assert set(shop.shown) == {"fan", "tower"}
        handed = shop.ask("Where is my order?", None, "talk")
        assert handed.hand_over_id is not None
    with serving(shop.kafka):
        second = shop.ask("Show me cheaper ones", None, "talk")
        assert second.wishes is not None
        assert (second.wishes.category, second.wishes.price_max) == ("Fans", 80)
        assert shop.shown == ["fan"]
        shop.until(lambda: shop.votes() == (1, 2))
        # Who is to be forgotten is neither counted nor quoted from then on.
        shop.send(shop.topics.forget, "cem", b'{"user_id": "cem"}')
        shop.until(lambda: shop.votes() == (0, 2))
    handed_over = [
        json.loads(r.value or b"") for _, r in read_topic(shop.kafka, shop.topics.hand_overs)
    ]
    assert [(one["reason"], one["said"]) for one in handed_over] == [
        ("order", ["Find me a fan under 100"])
    ]
