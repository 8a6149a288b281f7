"""How soon a new item can be recommended: from its record on `items` to a list that holds it.

The whole stack, all roles: the learner validates and encodes the item, serving hears of its vector.
Each new item has a brand of its own, for which a user asks again and again, so that the first list
with the item ends the wait: what is measured is when it may be shown, not whether it is liked.
Amazon Personalize names two hours.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from uuid import uuid4

import msgspec
from kafka import KafkaConsumer, KafkaProducer

from infra.bench.bar import Bar, Run
from infra.bench.latency import ITEMS_S, SEED, stack_settings
from infra.bench.shopping import listener, stock
from infra.bench.stack import OwnStack
from infra.demo.freshness import percentile
from stream.events import Filters, Item, Request, json_encode

NEW = 40
PATIENCE_S = 60.0
P95_S = 5.0
PERSONALIZE_S = 7_200.0


class _Listed(msgspec.Struct):
    """What is looked at of an item of a list."""

    item_id: str


class _List(msgspec.Struct):
    """What is looked at of an answer."""

    request_id: str | None
    items: tuple[_Listed, ...]


_decode = msgspec.json.Decoder(_List).decode


def measure(run: Run) -> Iterable[Bar]:
    """Add items one after the other."""
    with OwnStack(run.folder, stack_settings()) as stack:
        servers = stack.broker.bootstrap_servers
        run.say("the roles are at work")
        run.say(f"{stock(servers, SEED, ITEMS_S)} items have their vectors")
        consumer = listener(servers, ("recommendations",))
        producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=0)
        try:
            waits_s = [wait(producer, consumer, n) for n in range(run.sized(NEW, 3))]
        finally:
            producer.close(timeout=5)
            consumer.close()
    yield bar(waits_s)


def wait(producer: KafkaProducer, consumer: KafkaConsumer, number: int) -> float:
    """Add an item and ask until it is listed: seconds, endless where it never is."""
    name = f"new-{uuid4().hex[:12]}"
    item = Item(
        item_id=name,
        title=f"Travel kettle number {number}",
        description="A small kettle of steel for tea on the way, with a folding handle.",
        category=("Kitchen", "Kettles"),
        brand=name,
        price=20.0,
    )
    producer.send("items", key=name.encode(), value=json_encode(item))
    started_s = time.monotonic()
    while (spent_s := time.monotonic() - started_s) < PATIENCE_S:
        request = Request(
            request_id=uuid4().hex, user_id=f"asks-{number}", filters=Filters(brand=name)
        )
        producer.send("requests", key=request.user_id.encode(), value=json_encode(request))
        answer = _answer(consumer, request.request_id, started_s + PATIENCE_S)
        if answer is not None and any(listed.item_id == name for listed in answer.items):
            return time.monotonic() - started_s
    return max(spent_s, float("inf"))


def _answer(consumer: KafkaConsumer, request_id: str, until_s: float) -> _List | None:
    while time.monotonic() < until_s:
        for records in consumer.poll(timeout_ms=100).values():
            for record in records:
                answer = _decode(record.value)
                if answer.request_id == request_id:
                    return answer
    return None


def bar(waits_s: list[float]) -> Bar:
    """What was found, as a bar."""
    p95 = percentile(waits_s, 95) or float("inf")
    return Bar(
        name="cold-item",
        value=p95,
        unit="s",
        against={
            "p50": percentile(waits_s, 50) or float("inf"),
            "Personalize, published": PERSONALIZE_S,
        },
        bar=f"p95 ≤ {P95_S:g} s",
        holds=p95 <= P95_S,
    )
