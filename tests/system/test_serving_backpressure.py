"""Serving asked for more than it can answer: nothing is lost, the late are told, memory stays."""

from __future__ import annotations

import logging
import sys
import threading

import msgspec
import pytest

from serving.agent import stop_on_signals
from stream.connect import KafkaConfig
from tests.bench._weighed import weigh
from tests.conftest import Spawn
from tests.system.serving_process import SMALL_BATCHES, serving
from tests.system.test_serving import DEADLINE_S, Shop, shop, uncommitted

pytestmark = pytest.mark.slow


__all__ = ["shop"]

SLOW = msgspec.structs.replace(
    SMALL_BATCHES, fresh_first=True, request_max_age_s=1.0, look_ahead=500
)
"""Twenty answers a transaction: some hundred a second, at most two thousand."""

FLOODS = 3
FLOOD = 6_000
GROWTH_MB = 40.0
"""Of which the answers remembered for repeats take some 20."""


def test_more_than_can_be_answered_is_answered_once_in_time_or_told_that_it_is_late(
    kafka_config: KafkaConfig, shop: Shop, spawn: Spawn
) -> None:
    worker = spawn(__name__, kafka_config.bootstrap_servers, kafka_config.topic_prefix)
    shop.ask(500)
    shop.read_until(shop.all_answered)
    before = weigh(worker.pid, 0.0)
    for _ in range(FLOODS):
        shop.ask(FLOOD)
    shop.read_until(shop.all_answered)
    shop.read_until(lambda: not uncommitted(kafka_config))
    after = weigh(worker.pid, 1.0)
    assert before is not None
    assert after is not None
    assert after.rss_mb - before.rss_mb < GROWTH_MB

    assert {len(given) for given in shop.answers.values()} == {1}
    late = [given for [given] in shop.answers.values() if given.path == "expired"]
    listed = [given for [given] in shop.answers.values() if given.path != "expired"]
    assert late, "the flood was not too much"
    assert listed
    assert not any(given.items for given in late)
    assert all(given.items for given in listed)

    shop.ask(1)
    shop.read_until(shop.all_answered)
    worker.terminate()
    assert worker.wait(DEADLINE_S) == 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    told = threading.Event()
    stop_on_signals(told)
    here = KafkaConfig(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2])
    serving(here, SLOW).run(told)
