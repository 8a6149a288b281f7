"""Searches through a real broker: found, known to the user, learnt from, and missed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from kafka import KafkaProducer
from msgspec.structs import replace

from features.catalog import Catalog
from features.store import MemoryStore
from infra.cli import cli
from infra.search import Miss, misses, request_for, search
from serving.agent import ServingLoop
from serving.search.config import SearchConfig
from serving.search.parts import SearchParts
from stream.connect import KafkaConfig
from stream.events import Filters, Outcome, Recommendation, Searched, json_encode, msgpack_encode
from stream.metrics import SEARCH_CLICKS
from stream.topics import Topics
from tests.unit.serving.search.shop import STOCK, Angles
from tests.unit.serving.shop import PLAIN, PlainModels, user

DEADLINE_S = 60.0
EVENTS = 40
"""Of a user, each followed by a search at once."""


@contextmanager
def serving(kafka: KafkaConfig, store: MemoryStore, folder: Path) -> Iterator[SearchParts]:
    """The role in a thread, with a store in memory and an encoder of four words."""
    parts = SearchParts(SearchConfig(), Angles, folder, kafka)
    loop = ServingLoop(
        kafka,
        PLAIN,
        store=store,
        catalog=Catalog(2, texts=True),
        models=PlainModels(),
        search=parts,
    )
    stop, raised = threading.Event(), []

    def run() -> None:
        try:
            loop.run(stop)
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield parts
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    if raised:
        raise raised[0]


@pytest.fixture
def producer(kafka_config: KafkaConfig) -> Iterator[KafkaProducer]:
    made = KafkaProducer(**kafka_config.client_settings())
    topics = Topics(kafka_config.topic_prefix)
    for item in STOCK:
        made.send(topics.item_vectors, key=item.item_id.encode(), value=msgpack_encode(item))
    made.flush(DEADLINE_S)
    yield made
    made.close()


def searched(answer: Recommendation) -> Searched:
    assert isinstance(answer.search, Searched)
    return answer.search


def test_a_search_is_answered_knows_its_user_and_learns(
    kafka_config: KafkaConfig, producer: KafkaProducer, tmp_path: Path
) -> None:
    topics, store = Topics(kafka_config.topic_prefix), MemoryStore()

    def ask(query: str, user_id: str = "ann", **more: Any) -> Recommendation:
        return search(kafka_config, request_for(query, user_id, **more), DEADLINE_S)

    with serving(kafka_config, store, tmp_path / "search"):
        answer = ask("wirless hedphones", facets=True, explain=True)
        assert [item.item_id for item in answer.items] == ["s1"]
        assert searched(answer).corrected_from == "wirless hedphones"
        assert searched(answer).facets["category"][0].value == "Audio"
        assert answer.surface == "search"

        deleted = producer.send(topics.item_vectors, key=b"k1", value=None)
        deleted.get(DEADLINE_S)
        end_s = time.monotonic() + DEADLINE_S
        while "k1" in {one.item_id for one in ask("kettle").items}:
            assert time.monotonic() < end_s
        only = msgspec.to_builtins(Filters(brand="Acme"))
        assert {one.item_id for one in ask("kettle", filters=only).items} == {"b1"}

        # A search after a user's event was stored sees it, always.
        for number in range(EVENTS):
            event_id = f"e{number}"
            row = user("bob", ("d1", "view"))
            store.write([replace(row, last_event_id=event_id, updated_ms=number)])
            assert ask("drill", "bob").seen_event_id == event_id

        assert not ask("zzz sofa").items
        shown = ask("drill", "bob")
        outcome = Outcome(
            recommendation_id=shown.recommendation_id,
            user_id="bob",
            item_id=shown.items[1].item_id,
            place=2,
            places=len(shown.items),
            surface="search",
            score=0.0,
            shown_ms=1,
            clicked_ms=2,
        )
        before, end_s = SEARCH_CLICKS._value.get(), time.monotonic() + DEADLINE_S
        producer.send(topics.outcomes, key=b"bob", value=json_encode(outcome)).get(DEADLINE_S)
        while SEARCH_CLICKS._value.get() == before:
            ask("claw hammer")
            assert time.monotonic() < end_s
    # What was learnt is kept when the role stops.
    kept = tmp_path / "search" / "shop.json"
    assert msgspec.json.decode(kept.read_bytes())["lists"] == 1
    assert Miss(query="zzz sofa", times=1) in misses(kafka_config, 5)

    where = ["--bootstrap-servers", kafka_config.bootstrap_servers]
    where += ["--prefix", kafka_config.topic_prefix]
    told = CliRunner().invoke(cli, ["search", "misses", *where])
    assert "zzz sofa" in told.output
