"""The profile in a process of its own, as the role wires it, until all events are acknowledged."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any

from features.agent import add_profile
from features.catalog import Catalog
from features.store_config import StoreConfig
from features.store_feast import FeastStore
from infra.bench.meter import Meter
from infra.bench.profile_shop import WIDTH
from stream.app import StreamApp, StreamConfig, make_app, run_app
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.errors import TidemillError
from stream.publish import Publisher
from stream.topics import Topics
from stream.transport import Consumer


def profile(servers: str, group: str, events: str, folder: str) -> dict[str, float]:
    """State with its changelog, shifts, rows in the online store and examples, of every event."""
    kafka, meter = KafkaConfig(bootstrap_servers=servers, topic_prefix=""), Meter(int(events))
    app = make_app(group, kafka, StreamConfig(), Path(folder))
    publisher = Publisher(kafka, role="profile")
    store = FeastStore(StoreConfig(directory=f"{folder}/{group}-features"))
    add_profile(
        app,
        kafka=kafka,
        publisher=publisher,
        store=store,
        catalog=Catalog(WIDTH),
        clock=SystemClock(),
    )
    count_acknowledged(app, meter, Topics("").events)
    try:
        code = run_app(app, on_stop=publisher.stop)
    finally:
        store.close()
    if code:
        message = f"the profile ended with {code}"
        raise TidemillError(message)
    return meter.figures()


def count_acknowledged(app: StreamApp, meter: Meter, topic: str) -> None:
    """Count the records of a topic's runs as they are acknowledged; end the role after the last."""
    acknowledge = Consumer.ack

    @wraps(acknowledge)
    def counting(consumer: Consumer, message: Any) -> bool:
        done = acknowledge(consumer, message)
        if done and message.topic == topic:
            meter.count(len(message.value.records))
            if meter.done:
                app.stopping.set()
        return done

    Consumer.ack = counting  # type: ignore[method-assign,assignment]
