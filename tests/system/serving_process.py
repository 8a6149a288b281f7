"""The serving role as a process, with a store in memory and the plain ranker: made to be killed.

    python -m tests.system.serving_process BOOTSTRAP PREFIX

Users `u0` to `u99` are known: each looked at a tea.
"""

from __future__ import annotations

import logging
import sys
import threading

from features.catalog import Catalog
from features.store import MemoryStore
from serving.agent import ServingLoop, stop_on_signals
from serving.config import ServingConfig
from stream.connect import KafkaConfig
from tests.unit.serving.shop import TEAS, PlainModels, user

SMALL_BATCHES = ServingConfig(instance="serving-0", max_batch=20, poll_ms=50, session_timeout_s=6.0)


def known_users() -> MemoryStore:
    """A store of a hundred users."""
    store = MemoryStore()
    store.write([user(f"u{i}", (TEAS[i % len(TEAS)], "view")) for i in range(100)])
    return store


def serving(kafka: KafkaConfig, config: ServingConfig) -> ServingLoop:
    """A serving loop on the plain ranker."""
    return ServingLoop(
        kafka, config, store=known_users(), catalog=Catalog(width=2), models=PlainModels()
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    told = threading.Event()
    stop_on_signals(told)
    here = KafkaConfig(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2])
    serving(here, SMALL_BATCHES).run(told)
