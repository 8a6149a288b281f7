"""The profile in a process of its own, for the tests that kill it at a chosen step.

It says on standard output what it does, one JSON list per line. When it has reached the step at
which it is to be killed, it says so and waits.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from features.agent import add_profile
from features.catalog import Catalog
from features.store import OnlineStore, UserFeatures
from features.store_config import StoreConfig
from features.store_feast import FeastStore
from stream.app import StreamConfig, make_app, run_app
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.outgoing import Outgoing
from stream.publish import Publisher

ROLE = "profile"
WIDTH = 64

Step = Literal["stored", "published", "never"]


def say(*words: object) -> None:
    """Write one line for the test."""
    print(json.dumps(words), flush=True)


class Hold:
    """Stops the process at the n-th time that a step is done, until it is killed."""

    def __init__(self, step: Step, at: int) -> None:
        self._step, self._left = step, at

    def done(self, step: Step) -> None:
        """Note a step."""
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                say("holding", step)
                threading.Event().wait()


class HoldingStore:
    """The real store, noting each write."""

    def __init__(self, store: OnlineStore, hold: Hold) -> None:
        self._store, self._hold = store, hold
        self.read, self.forget, self.close = store.read, store.forget, store.close

    def write(self, rows: Sequence[UserFeatures]) -> None:
        """Write, then note it."""
        self._store.write(rows)
        self._hold.done("stored")


class HoldingPublisher(Publisher):
    """The real publisher, noting each batch of examples."""

    hold: Hold

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Publish, then note it."""
        await super().publish(topic, records)
        if records and topic.endswith("examples"):
            self.hold.done("published")
            say("published", len(records))


def main() -> int:
    """Run the role: `bootstrap prefix partitions data_dir step at`."""
    logging.basicConfig(level=logging.WARNING)
    bootstrap, prefix, partitions, data_dir, step, at = sys.argv[1:7]
    assert step in ("stored", "published", "never")
    kafka = KafkaConfig(
        bootstrap_servers=bootstrap, topic_prefix=prefix, partitions=int(partitions)
    )
    config = StreamConfig(max_run_records=50, commit_interval_s=0.05, instance="one")
    hold = Hold(step, int(at))  # type: ignore[arg-type]
    publisher = HoldingPublisher(kafka, role=ROLE)
    publisher.hold = hold
    store = FeastStore(StoreConfig(directory=f"{data_dir}/features"))
    app = make_app(ROLE, kafka, config, Path(data_dir))
    add_profile(
        app,
        kafka=kafka,
        publisher=publisher,
        store=HoldingStore(store, hold),
        catalog=Catalog(WIDTH),
        clock=SystemClock(),
    )
    try:
        return run_app(app, on_ready=lambda: say("ready"))
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
