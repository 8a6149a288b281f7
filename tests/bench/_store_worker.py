"""One process of `store`: `python -m tests.bench._store_worker JOB`, where JOB is JSON.

A writer writes its share of all versions of all rows, in an order of its own; a reader reads random
rows until its input ends, and looks whether each was left so by one write. Each prints a line when
its store is open, begins at the line that it is given, and prints what it measured.
"""

from __future__ import annotations

import random
import sys
import threading
import time

import msgspec

from features.store import UserFeatures
from features.store_config import StoreConfig
from features.store_feast import FeastStore

START_MS = 1_700_000_000_000
WIDTH = 64


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a process does; `number` of `writers` for a writer, `None` for a reader."""

    config: StoreConfig
    users: int
    versions: int
    batch: int
    writers: int
    number: int | None
    seed: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What it measured; a row is torn if its fields don't all come from one write."""

    seconds: list[float]
    rows: int
    torn: int
    backwards: int


def row(user: int, version: int) -> UserFeatures:
    """A row of usual size, all of whose fields say which version it is."""
    ts_ms = START_MS + version
    return UserFeatures(
        user_id=f"user-{user:05}",
        updated_ms=ts_ms,
        last_event_id=f"{user}-{version}",
        recent_items=tuple(f"item-{version}-{n}" for n in range(20)),
        recent_kinds=("view",) * 20,
        recent_ts_ms=tuple(ts_ms - n for n in range(20)),
        recent_ratings=(float(version),) * 20,
        seen=version.to_bytes(8, "big") * 64,
        short_vector=(float(version),) * WIDTH,
        long_vector=(float(-version),) * WIDTH,
        events=version,
        views=version,
        top_category=f"category {version}",
        top_brand=f"brand {version}",
        mean_price=float(version),
    )


def write(store: FeastStore, job: Job) -> Measured:
    """Write every `writers`-th version of every row, shuffled."""
    assert job.number is not None, "a writer has a number"
    mine = [
        (user, version)
        for user in range(job.users)
        for version in range(job.versions)
        if (user + version) % job.writers == job.number
    ]
    random.Random(job.seed).shuffle(mine)
    seconds = []
    for at in range(0, len(mine), job.batch):
        rows = [row(*one) for one in mine[at : at + job.batch]]
        began_s = time.perf_counter()
        store.write(rows)
        seconds.append(time.perf_counter() - began_s)
    return Measured(seconds=seconds, rows=len(mine), torn=0, backwards=0)


def read(store: FeastStore, job: Job) -> Measured:
    """Read until told to stop."""
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    rng, seconds, newest = random.Random(job.seed), list[float](), dict[str, int]()
    rows = torn = backwards = 0
    while not ended.is_set():
        users = rng.sample(range(job.users), min(job.batch, job.users))
        began_s = time.perf_counter()
        found = store.read([f"user-{user:05}" for user in users])
        seconds.append(time.perf_counter() - began_s)
        for user, one in zip(users, found, strict=True):
            if one is not None:
                rows += 1
                torn += one != row(user, one.events)
                backwards += one.updated_ms < newest.get(one.user_id, 0)
                newest[one.user_id] = one.updated_ms
    return Measured(seconds=seconds, rows=rows, torn=torn, backwards=backwards)


def main(job: Job) -> None:
    """Open, wait, work, tell."""
    store = FeastStore(job.config)
    print("open", flush=True)
    sys.stdin.readline()
    measured = read(store, job) if job.number is None else write(store, job)
    print(msgspec.json.encode(measured).decode(), flush=True)
    store.close()


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Job))
