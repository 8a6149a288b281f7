"""Quix Streams reading JSON and producing nothing: a script for an environment that has it.

It prints its figures as one line of JSON, as `infra.bench.apart` reads them.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

from infra.bench.meter import Meter


def consume(servers: str, group: str, events: str) -> dict[str, float]:
    """Read every click as a dictionary and count it, without state."""
    meter = Meter(int(events))
    app = import_module("quixstreams").Application(
        broker_address=servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="WARNING",
    )

    def count(click: dict[str, Any]) -> None:
        assert click["user_id"]
        meter.count()
        if meter.done:
            app.stop()

    app.dataframe(app.topic("clicks", value_deserializer="json")).update(count)
    app.run()
    return meter.figures()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(consume(*sys.argv[1:])) + "\n")
