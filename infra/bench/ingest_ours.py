"""Ingest in a process of its own, as the role wires it, until it has taken all events."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra.bench.meter import Meter
from stream.agent import add_ingest
from stream.app import StreamApp, StreamConfig, make_app, run_app
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.errors import TidemillError
from stream.ingest import IngestConfig
from stream.outgoing import Outgoing
from stream.publish import Publisher


class Metered:
    """A publisher that counts what it is given; it passes it on to a real one, or swallows it."""

    def __init__(self, app: StreamApp, meter: Meter, publisher: Publisher | None) -> None:
        self._app, self._meter, self._publisher = app, meter, publisher

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Publish, and end the role once all events are acknowledged."""
        if self._publisher is not None:
            await self._publisher.publish(topic, records)
        if records and topic == "events":
            self._meter.count(len(records))
            if self._meter.done:
                self._app.stopping.set()


def whole(servers: str, group: str, events: str) -> dict[str, float]:
    """Validate, normalise, drop duplicates, key by user and produce, all of it acknowledged."""
    return _run(servers, group, int(events), produce=True)


def swallowed(servers: str, group: str, events: str) -> dict[str, float]:
    """Do the same but for producing."""
    return _run(servers, group, int(events), produce=False)


def _run(servers: str, group: str, events: int, *, produce: bool) -> dict[str, float]:
    kafka, meter = KafkaConfig(bootstrap_servers=servers, topic_prefix=""), Meter(events)
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(group, kafka, StreamConfig(), Path(folder))
        publisher = Publisher(kafka)
        metered = Metered(app, meter, publisher if produce else None)
        add_ingest(app, kafka, IngestConfig(), metered, SystemClock())
        code = run_app(app, on_stop=publisher.stop)
    if code:
        message = f"ingest ended with {code}"
        raise TidemillError(message)
    return meter.figures()
