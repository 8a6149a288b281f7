"""The online store under writers: 3 processes write the same rows, shuffled, while 2 others read.

Whatever the order, the newest event time must stand in every row, no read may show half a write or
go back in time, and writes should be quick. On SQLite, and on a Redis that the bench starts. Exit
code 1 if a row is wrong.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from features.store_config import StoreConfig
from features.store_feast import FeastStore
from infra.tether import tethered
from tests.bench._store_worker import Job, Measured, row
from tests.chaos.redis_server import RedisServer

WRITERS, READERS = 3, 2


def measure(config: StoreConfig, *, users: int, versions: int, batch: int) -> dict[str, Any]:
    """Let all processes loose on one store; what they measured, and what stands at the end."""
    job = Job(
        config=config,
        users=users,
        versions=versions,
        batch=batch,
        writers=WRITERS,
        number=0,
        seed=0,
    )
    jobs = [
        msgspec.structs.replace(job, number=n if n < WRITERS else None, seed=n)
        for n in range(WRITERS + READERS)
    ]
    with ExitStack() as stack:
        processes = [stack.enter_context(_process(one)) for one in jobs]
        for process in processes:
            assert _line(process) == "open"
        began_s = time.perf_counter()
        for process in processes:
            _tell(process)
        written = [_measured(process) for process in processes[:WRITERS]]
        seconds = time.perf_counter() - began_s
        for process in processes[WRITERS:]:
            _tell(process)
        seen = [_measured(process) for process in processes[WRITERS:]]
    store = FeastStore(config)
    wanted = [row(user, versions - 1) for user in range(users)]
    found = store.read([one.user_id for one in wanted])
    store.close()
    rows = sum(one.rows for one in written)
    return {
        "rows": rows,
        "batch": batch,
        "rows_per_s": round(rows / seconds),
        "newest_wins": sum(a == b for a, b in zip(found, wanted, strict=True)) / users,
        "reads": sum(one.rows for one in seen),
        "torn": sum(one.torn for one in seen),
        "backwards": sum(one.backwards for one in seen),
        "write_ms": _quantiles([s for one in written for s in one.seconds]),
        "read_ms": _quantiles([s for one in seen for s in one.seconds]),
    }


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: round(1000 * ordered[min(len(ordered) - 1, int(place * len(ordered)))], 2)
        for name, place in places.items()
    }


@contextmanager
def _process(job: Job) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.bench._store_worker", msgspec.json.encode(job).decode()]
    with subprocess.Popen(
        tethered(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _measured(process: subprocess.Popen[str]) -> Measured:
    return msgspec.json.decode(_line(process), type=Measured)


def main(arguments: Sequence[str]) -> int:
    """Print a line per store; the exit code."""
    parser = argparse.ArgumentParser(prog="store", description=__doc__)
    parser.add_argument("--stores", nargs="+", default=["sqlite", "redis"])
    parser.add_argument("--users", type=int, default=1_000, help="rows that all write")
    parser.add_argument("--versions", type=int, default=100, help="writes of each row")
    parser.add_argument("--batch", type=int, default=1, help="rows in one call")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    wrong = 0
    for name in asked.stores:
        with tempfile.TemporaryDirectory() as folder:
            place, redis = Path(folder), None
            config = StoreConfig(directory=str(place / "features"))
            if name == "redis":
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    port = probe.getsockname()[1]
                redis = RedisServer(place / "redis", port)
                redis.start()
                config = msgspec.structs.replace(config, redis=f"127.0.0.1:{port}")
            try:
                found = measure(
                    config, users=asked.users, versions=asked.versions, batch=asked.batch
                )
            finally:
                if redis is not None:
                    redis.kill()
        wrong += found["newest_wins"] < 1 or found["torn"] > 0 or found["backwards"] > 0
        print(json.dumps({"store": name, **found}) if asked.json else _words(name, found))
    return int(wrong > 0)


def _words(name: str, found: dict[str, Any]) -> str:
    return (
        f"{name}: the newest of {found['rows']} writes stands in {found['newest_wins']:.0%}, "
        f"{found['torn']} torn of {found['reads']} rows read, {found['rows_per_s']} rows/s in "
        f"calls of {found['batch']}, p50 {found['write_ms']['p50']} ms, "
        f"p99 {found['write_ms']['p99']} ms"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
