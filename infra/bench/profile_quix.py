"""Quix Streams counting events per user in its state: a script for an environment that has it.

It prints its figures as one line of JSON, as `infra.bench.apart` reads them.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

from infra.bench.meter import Meter


def count(servers: str, group: str, events: str, folder: str) -> dict[str, float]:
    """Read every event as a dictionary and count it for its user: RocksDB, and a changelog."""
    meter = Meter(int(events))
    app = import_module("quixstreams").Application(
        broker_address=servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=f"{folder}/{group}",
        use_changelog_topics=True,
        loglevel="WARNING",
    )

    def add(event: dict[str, Any], state: Any) -> None:
        assert event["user_id"]
        state.set("events", state.get("events", 0) + 1)
        meter.count()
        if meter.done:
            app.stop()

    topic = app.topic("events", value_deserializer="json")
    app.dataframe(topic).update(add, stateful=True)
    app.run()
    return meter.figures()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(count(*sys.argv[1:])) + "\n")
