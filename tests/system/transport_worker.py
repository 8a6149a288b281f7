"""A role in a process of its own, for the tests that kill one.

It says on standard output what it does, one JSON list per line, and reads from standard input
when to go on: so a test waits for the thing itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

from stream.app import StreamConfig, bytes_table, guarded, make_app, run_app, run_topic
from stream.batching import Run
from stream.connect import KafkaConfig

ROLE = "worker"


def say(*words: object) -> None:
    """Write one line for the test."""
    print(json.dumps(words), flush=True)


def main() -> int:
    """Run the role: `bootstrap prefix partitions data_dir hold_at fail_at`."""
    logging.basicConfig(level=logging.WARNING)
    bootstrap, prefix, partitions, data_dir = sys.argv[1:5]
    hold_at, fail_at = int(sys.argv[5]), int(sys.argv[6])
    kafka = KafkaConfig(
        bootstrap_servers=bootstrap, topic_prefix=prefix, partitions=int(partitions)
    )
    config = StreamConfig(
        max_run_records=100,
        commit_interval_s=0.05,
        instance="one",
        recovery_timeout_s=15.0,
    )
    app = make_app(ROLE, kafka, config, Path(data_dir))
    newest = bytes_table(app, "newest", kafka.partitions)
    handled = 0

    @app.agent(run_topic(app, f"{prefix}clicks"))
    @guarded(app)
    async def handle(run: Run) -> None:
        nonlocal handled
        handled += 1
        offsets = [record.offset for record in run.records]
        say("begin", run.partition, *offsets)
        for record in run.records:
            newest[record.key] = record.value
        if handled == hold_at:
            say("holding", run.partition, run.last_offset)
            await asyncio.to_thread(sys.stdin.readline)
        if handled == fail_at:
            say("failing", run.partition, offsets[0])
            message = "a fault in the agent"
            raise ZeroDivisionError(message)
        say("end", run.partition, *offsets)

    def ready() -> None:
        partitions = range(kafka.partitions)
        say("ready", {key.decode(): value.decode() for key, value in newest.items()}, *partitions)

    return run_app(app, on_ready=ready)


if __name__ == "__main__":
    sys.exit(main())
