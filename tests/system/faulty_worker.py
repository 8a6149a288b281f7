"""Ingest and profile in one process, with a fault in our own code that a test can switch on.

    python -m tests.system.faulty_worker BOOTSTRAP PREFIX PARTITIONS DATA_DIR on|off

While it is on, ingest fails on the items `faulty-ingest-*`, and the profile on `faulty-profile-*`.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import features.agent
import stream.ingest
from features.agent import add_profile
from features.catalog import Catalog
from features.profile import AppliedAll, InterestModel, Users, apply_all
from features.store import MemoryStore
from infra.logs import configure_logging
from stream.agent import add_ingest
from stream.app import StreamConfig, make_app, run_app
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.events import Event
from stream.ingest import IngestConfig
from stream.parse import parse_event
from stream.parse_together import parse_together
from stream.publish import Publisher

ROLE = "ingest-profile"
INGEST_FAULT, PROFILE_FAULT = "faulty-ingest-", "faulty-profile-"


def faulty_parse(*arguments: Any, **options: Any) -> Event:
    """Parse, and fail on some events as if there was a fault in our code."""
    event = parse_event(*arguments, **options)
    if event.item_id.startswith(INGEST_FAULT):
        message = f"a fault in ingest, over {event.item_id}"
        raise ZeroDivisionError(message)
    return event


def faulty_together(*arguments: Any) -> list[Event] | None:
    """Parse records together, and fail on the same ones."""
    events = parse_together(*arguments)
    if any(event.item_id.startswith(INGEST_FAULT) for event in events or ()):
        message = "a fault in ingest"
        raise ZeroDivisionError(message)
    return events


def faulty_apply(users: Users, partition: int, model: InterestModel) -> list[AppliedAll]:
    """Apply, and fail on some events."""
    for event in (event for _, events in users for _, event in events):
        if event.item_id.startswith(PROFILE_FAULT):
            message = f"a fault in the profile, over {event.item_id}"
            raise ZeroDivisionError(message)
    return apply_all(users, partition, model)


def main() -> int:
    """Run until SIGTERM, or until too many records fail."""
    bootstrap, prefix, partitions, data_dir, faults = sys.argv[1:6]
    configure_logging(ROLE)
    logging.getLogger("stream.refusals").setLevel(logging.CRITICAL)
    if faults == "on":
        stream.ingest.parse_event = faulty_parse  # type: ignore[attr-defined]
        stream.ingest.parse_together = faulty_together  # type: ignore[attr-defined, assignment]
        features.agent.apply_all = faulty_apply  # type: ignore[attr-defined]
    kafka = KafkaConfig(
        bootstrap_servers=bootstrap, topic_prefix=prefix, partitions=int(partitions)
    )
    config = StreamConfig(commit_interval_s=0.2, instance="one")
    app = make_app(ROLE, kafka, config, Path(data_dir))
    publisher, clock = Publisher(kafka, role=ROLE), SystemClock()
    add_ingest(app, kafka, IngestConfig(), publisher, clock)
    add_profile(
        app,
        kafka=kafka,
        publisher=publisher,
        store=MemoryStore(),
        catalog=Catalog(64),
        clock=clock,
    )
    return run_app(app, on_stop=publisher.stop)


if __name__ == "__main__":
    sys.exit(main())
