"""A role that only gets its users' states back from the changelog, its disk being lost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from features.profile_state import is_older
from infra.bench.states import states
from stream.app import StreamConfig, bytes_table, guarded, make_app, run_app, run_topic
from stream.batching import Run
from stream.connect import KafkaConfig
from stream.errors import TidemillError
from stream.outgoing import Outgoing

ROLE, TABLE = "recovering", "profiles"

CHANGELOG = f"{ROLE}-{TABLE}-changelog"

INPUT = "nothing"
"""The topic that the role would read."""


def changes(users: int, partitions: int) -> Iterator[Outgoing]:
    """What a changelog holds of so many users."""
    made = enumerate(states(users))
    return (Outgoing(key=key, value=row, partition=n % partitions) for n, (key, row) in made)


def recover(servers: str, partitions: str) -> dict[str, float]:
    """Start the role without a disk, and stop it once it is at work."""
    kafka = KafkaConfig(bootstrap_servers=servers, topic_prefix="", partitions=int(partitions))
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(ROLE, kafka, StreamConfig(), Path(folder))
        table = bytes_table(app, TABLE, kafka.partitions, older=is_older)

        @app.agent(run_topic(app, INPUT))
        @guarded(app)
        async def nothing(_: Run) -> None:
            pass

        found: dict[str, float] = {}
        began, spent = time.perf_counter(), time.process_time()

        def ready() -> None:
            found["seconds"] = time.perf_counter() - began
            found["cpu_s"] = time.process_time() - spent
            found["rows"] = sum(1 for _ in table.items())
            found["mb"] = (
                sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()) / 1e6
            )
            app.stopping.set()

        code = run_app(app, on_ready=ready)
    if code or not found:
        message = f"the role ended with {code} before it was ready"
        raise TidemillError(message)
    return found
