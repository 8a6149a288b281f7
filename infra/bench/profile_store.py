"""Rows/s into the online store: our direct write beside Feast's, from a DataFrame of the same rows.

Both write into stores of one kind: SQLite in a folder, and a Redis where one is installed. They
take turns with the same batches, of as many rows as a busy run has.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from features.catalog import Catalog
from features.drift_river import PageHinkleyDetector
from features.interest import InterestConfig, ItemSpace
from features.profile import InterestModel, Place, apply, features
from features.profile_state import EMPTY, Profile
from features.store import UserFeatures
from features.store_config import StoreConfig
from features.store_feast import FeastStore
from infra.bench.bar import Bar, Run
from infra.bench.profile_shop import WIDTH, ProfileShop

BATCH = 1_000
"""Rows of one write: the users of a run of some 4,000 events."""

ROWS = 20_000
LEAST = 5.0
FEASTS = "write_to_online_store with a DataFrame"
REDIS_START_S = 20.0


def store_bars(run: Run, shop: ProfileShop) -> Iterator[Bar]:
    """Yield a bar for each kind of store that can be had here."""
    yield from sqlite_bars(run, shop)
    if binary := shutil.which("redis-server"):
        with _redis(binary, run.folder) as address:
            config = StoreConfig(directory=str(run.folder / "redis"), redis=address)
            yield _bar(run, shop, "redis", config)


def sqlite_bars(run: Run, shop: ProfileShop) -> Iterator[Bar]:
    """Yield the bar of the default store."""
    yield _bar(run, shop, "sqlite", StoreConfig(directory=str(run.folder / "sqlite")))


def _bar(run: Run, shop: ProfileShop, name: str, config: StoreConfig) -> Bar:
    batches = list(rows_of(shop, run.sized(ROWS, least=200)))
    ours_s, feasts_s = _contest(config, batches)
    rows = sum(map(len, batches))
    run.say(f"{name}: {rows:,} rows, {ours_s:.1f} s and {feasts_s:.1f} s")
    return Bar(
        name=f"profile/feast-{name}",
        value=rows / ours_s,
        unit="rows/s",
        against={FEASTS: rows / feasts_s},
        ratio=feasts_s / ours_s,
        bar=f"≥ {LEAST:g} × {FEASTS}",
        holds=feasts_s / ours_s >= LEAST,
    )


def rows_of(shop: ProfileShop, count: int) -> Iterator[list[UserFeatures]]:
    """The rows that the profile makes of the shop's last events, in batches of different users."""
    catalog = Catalog(WIDTH)
    catalog.upsert(shop.items)
    config = InterestConfig()
    model = InterestModel(ItemSpace(catalog), PageHinkleyDetector(config), config)
    profiles: dict[str, Profile] = {}
    for offset, event in enumerate(shop.events):
        before = profiles.pop(event.user_id, EMPTY)
        profiles[event.user_id] = apply(before, event, Place(0, offset), model).profile
    rows = [features(user_id, profile) for user_id, profile in profiles.items()]
    left = count
    while left > 0:
        for start in range(0, len(rows), BATCH):
            if left > 0:
                yield rows[start : start + BATCH][:left]
                left -= len(rows[start : start + BATCH])


def frame_of(rows: Sequence[UserFeatures]) -> Any:
    """A DataFrame as `write_to_online_store` takes it: a column per feature, and the event time."""
    columns: dict[str, list[Any]] = {
        name: [getattr(row, name) for row in rows]
        for name in UserFeatures.__struct_fields__
        if name != "updated_ms"
    }
    columns["updated_at"] = [datetime.fromtimestamp(row.updated_ms / 1000, UTC) for row in rows]
    return pd.DataFrame(columns)


def _contest(config: StoreConfig, batches: Sequence[Sequence[UserFeatures]]) -> tuple[float, float]:
    """Seconds of our writes, and of Feast's, each into a project of its own."""
    stores = [FeastStore(_project(config, name)) for name in ("ours", "feasts")]
    ours_s = feasts_s = 0.0
    try:
        for batch in batches:
            frame = frame_of(batch)  # Feast's way begins with one
            began_s = time.perf_counter()
            stores[0].write(batch)
            ours_s += time.perf_counter() - began_s
            began_s = time.perf_counter()
            stores[1].feast.write_to_online_store("user_profile", frame)
            feasts_s += time.perf_counter() - began_s
    finally:
        for store in stores:
            store.close()
    return ours_s, feasts_s


@contextmanager
def _redis(binary: str, folder: Path) -> Iterator[str]:
    """Run a Redis of our own that keeps nothing, at a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir"]
    with subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL) as server:
        try:
            deadline_s = time.monotonic() + REDIS_START_S
            while server.poll() is None and not _answers(port) and time.monotonic() < deadline_s:
                time.sleep(0.02)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _project(config: StoreConfig, name: str) -> StoreConfig:
    folder = str(Path(config.directory) / name)
    return msgspec.structs.replace(config, directory=folder, project=f"{config.project}_{name}")
