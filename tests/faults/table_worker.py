"""A role with a table and nothing else to do: it says what it has when it is ready."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from stream import transport
from stream.app import StreamConfig, bytes_table, guarded, make_app, run_app, run_topic
from stream.batching import Run
from stream.connect import KafkaConfig

ROLE = "worker"
TABLE = "newest"


class Ready(NamedTuple):
    """What a table held when its role was ready, after how long, and with how much of a core."""

    rows: int
    digest: str
    seconds: float
    cpu_s: float


def digest(rows: dict[bytes, bytes]) -> str:
    """The sum of what a table holds, in whatever order.

    >>> digest({b"a": b"1", b"b": b"2"}) == digest({b"b": b"2", b"a": b"1"})
    True
    """
    total = 0
    for key, value in rows.items():
        total ^= int.from_bytes(hashlib.blake2b(key + b"=" + value, digest_size=16).digest())
    return f"{total:032x}"


def table(kafka: KafkaConfig, data: str, said: Connection, stall_s: float = 0.0) -> int:
    """Run the role until SIGTERM; with a stall, before the first changes are in the table."""
    logging.basicConfig(level=logging.WARNING)
    started_s = time.monotonic()
    config = StreamConfig(instance="one", commit_interval_s=0.05, stop_timeout_s=5.0)
    app = make_app(ROLE, kafka, config, Path(data))
    newest = bytes_table(app, TABLE, kafka.partitions)

    @app.agent(run_topic(app, f"{kafka.topic_prefix}clicks"))
    @guarded(app)
    async def handle(run: Run) -> None:
        for record in run.records:
            newest[record.key] = record.value

    if stall_s:
        _stall(stall_s)

    def ready() -> None:
        seconds, cpu_s = time.monotonic() - started_s, time.process_time()
        rows = {key: value for key, value in newest.items() if b"\0" not in key}
        said.send(Ready(len(rows), digest(rows), seconds, cpu_s))

    return run_app(app, on_ready=ready)


def _stall(stall_s: float) -> None:
    """Let the first changes be on their way to the table for long, as on a busy machine."""
    real, stalled = transport.Consumer._getmany, False

    async def slow(consumer: Any, *arguments: Any) -> Any:
        nonlocal stalled
        changes = await real(consumer, *arguments)
        if changes and not stalled:
            stalled = True
            await asyncio.sleep(stall_s)
        return changes

    setattr(transport.Consumer, "_getmany", slow)  # noqa: B010 - mypy knows it as a method
