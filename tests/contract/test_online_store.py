"""What every online store promises: in memory, in Feast on SQLite, in Feast on Redis."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from features.store import MemoryStore, OnlineStore, UserFeatures
from features.store_config import StoreConfig
from features.store_feast import FeastStore
from stream.errors import Unavailable

START_MS = 1_700_000_000_123

FULL = UserFeatures(
    user_id="ada",
    updated_ms=START_MS,
    last_event_id="clicks-0-7",
    recent_items=("tea", "pot"),
    recent_kinds=("view", "review"),
    recent_ts_ms=(START_MS - 1, START_MS),
    recent_ratings=(0.0, 4.3),
    seen=bytes(range(256)) * 8,
    short_vector=tuple(n / 64 for n in range(64)),
    long_vector=tuple(-n / 64 for n in range(64)),
    events=2,
    views=1,
    clicks=3,
    carts=4,
    purchases=5,
    reviews=1,
    top_category="Kitchen > Tea",
    top_brand="Größe & Söhne",
    mean_price=12.34,
    mean_rating=4.3,
    mean_sentiment=0.65,
    divergence=0.123456789,
    shifts=1,
    last_shift_ms=START_MS - 5,
    last_shift_to="Bikes",
)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own on a free port; yields its address."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed: the Redis half of the contract is not checked")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir"]
    with subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 20
        while not answers(port):
            assert server.poll() is None, "redis-server ended at its start"
            assert time.monotonic() < deadline, "redis-server did not answer within 20 s"
        yield f"127.0.0.1:{port}"
        server.send_signal(signal.SIGTERM)


def answers(port: int) -> bool:
    """Whether a Redis at the port says PONG."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(b"PING\r\n")
            return link.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    if request.param == "memory":
        opened: OnlineStore = MemoryStore()
    else:
        opened = FeastStore(config_for(request, tmp_path))
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "redis"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> StoreConfig:
    return config_for(request, tmp_path)


def config_for(request: pytest.FixtureRequest, folder: Path) -> StoreConfig:
    """SQLite in the folder, or the Redis with a project of the test's own."""
    redis = request.getfixturevalue("redis_server") if request.param == "redis" else ""
    return StoreConfig(directory=str(folder), redis=redis, project=f"test_{time.time_ns()}")


def row(user_id: str, updated_ms: int, events: int) -> UserFeatures:
    """A row that says little."""
    return UserFeatures(
        user_id=user_id, updated_ms=updated_ms, last_event_id=f"{user_id}-{events}", events=events
    )


def test_what_is_written_is_read(store: OnlineStore) -> None:
    store.write([FULL])
    assert store.read(["ada"]) == [FULL]


def test_who_is_forgotten_is_gone_and_may_start_anew(store: OnlineStore) -> None:
    store.write([FULL, row("bob", START_MS, 1)])
    store.forget(["ada", "nobody"])
    assert store.read(["ada", "bob"]) == [None, row("bob", START_MS, 1)]
    store.forget(["ada"])
    store.write([row("ada", START_MS - 1, 1)])  # older than what was forgotten
    assert store.read(["ada"]) == [row("ada", START_MS - 1, 1)]


def test_a_row_without_history_is_read_as_it_is(store: OnlineStore) -> None:
    store.write([row("new", START_MS, 1)])
    assert store.read(["new"]) == [row("new", START_MS, 1)]


def test_many_users_come_in_the_order_asked(store: OnlineStore) -> None:
    rows = [row(f"user {n}/é", START_MS + n, n) for n in range(1_200)]
    store.write(rows)
    asked = [0, 1_199, 7, 7, 600]
    names = [rows[n].user_id for n in asked]
    assert store.read([*names, "nobody"]) == [*(rows[n] for n in asked), None]
    assert store.read([r.user_id for r in rows]) == rows


def test_nothing_asked_nothing_written(store: OnlineStore) -> None:
    store.write([])
    assert store.read([]) == []


def test_a_newer_row_replaces_the_whole_older_one(store: OnlineStore) -> None:
    store.write([FULL])
    newer = row("ada", START_MS + 1, 3)
    store.write([newer])
    assert store.read(["ada"]) == [newer]


def test_an_older_row_is_ignored(store: OnlineStore) -> None:
    store.write([FULL])
    store.write([row("ada", START_MS - 1, 99), row("bob", START_MS, 1)])
    assert store.read(["ada", "bob"]) == [FULL, row("bob", START_MS, 1)]


def test_a_row_of_the_same_millisecond_replaces(store: OnlineStore) -> None:
    store.write([row("ada", START_MS, 1)])
    store.write([row("ada", START_MS, 2)])
    assert store.read(["ada"]) == [row("ada", START_MS, 2)]


def test_of_one_millisecond_the_row_with_more_events_stays(store: OnlineStore) -> None:
    late = msgspec.structs.replace(FULL, events=FULL.events + 1, last_event_id="late")
    store.write([late])
    store.write([FULL])  # by a process that slept meanwhile
    assert store.read(["ada"]) == [late]
    later = msgspec.structs.replace(FULL, updated_ms=START_MS + 1, events=1)
    store.write([later])
    assert store.read(["ada"]) == [later]


def test_within_one_call_the_newest_row_of_a_user_wins(store: OnlineStore) -> None:
    store.write([row("ada", START_MS, 1), row("ada", START_MS + 9, 3), row("ada", START_MS + 5, 2)])
    assert store.read(["ada"]) == [row("ada", START_MS + 9, 3)]


# What Feast's stores promise beyond that --------------------------------------------------------


def test_a_reopened_store_still_knows(config: StoreConfig) -> None:
    first = FeastStore(config)
    first.write([FULL])
    first.close()
    again = FeastStore(config)
    assert again.read(["ada"]) == [FULL]
    again.close()


def test_feast_itself_reads_the_same(config: StoreConfig) -> None:
    store = FeastStore(config)
    store.write([FULL])
    answer = store.feast.get_online_features(
        features=["user_profile:events", "user_profile:top_brand", "user_profile:recent_items"],
        entity_rows=[{"user_id": "ada"}, {"user_id": "nobody"}],
    ).to_dict()
    assert answer["events"] == [2, None]
    assert answer["top_brand"] == ["Größe & Söhne", None]
    assert answer["recent_items"][0] == ["tea", "pot"]
    store.close()


def test_what_feast_itself_writes_is_read(config: StoreConfig) -> None:
    store = FeastStore(config)
    columns = {name: [getattr(FULL, name)] for name in UserFeatures.__struct_fields__}
    del columns["updated_ms"]
    written_at = datetime.fromtimestamp(START_MS / 1000, UTC)
    frame = pd.DataFrame({**columns, "updated_at": [written_at]})
    store.feast.write_to_online_store("user_profile", frame)
    assert store.read(["ada"]) == [FULL]
    older = msgspec.structs.replace(FULL, updated_ms=START_MS - 1, events=0)
    store.write([older])
    assert store.read(["ada"]) == [FULL]
    store.close()


def test_rows_of_release_0_1_make_room_and_are_missed(tmp_path: Path) -> None:
    config = StoreConfig(directory=str(tmp_path))
    FeastStore(config).close()
    with sqlite3.connect(tmp_path / "online.db") as old:
        old.execute("DROP TABLE tidemill_user_profile_rows")
        old.execute("CREATE TABLE tidemill_user_profile (entity_key BLOB, feature_name TEXT)")
        old.execute("INSERT INTO tidemill_user_profile VALUES ('ada', 'events')")
    old.close()
    store = FeastStore(config)
    assert store.read(["ada"]) == [None]  # so a witness is missed, too, and all rows come back
    store.write([FULL])
    assert store.read(["ada"]) == [FULL]
    store.close()
    with sqlite3.connect(tmp_path / "online.db") as new:
        tables = [name for (name,) in new.execute("SELECT name FROM sqlite_master")]
    new.close()
    assert "tidemill_user_profile" not in tables


def test_the_feature_view_has_every_field(config: StoreConfig) -> None:
    store = FeastStore(config)
    view = store.feast.get_feature_view("user_profile")
    fields = set(UserFeatures.__struct_fields__) - {"user_id", "updated_ms"}
    assert {field.name for field in view.features} == fields
    store.close()


WRITER = """
import sys
import msgspec
from features.store import UserFeatures
from features.store_config import StoreConfig
from features.store_feast import FeastStore
stores = [FeastStore(c) for c in msgspec.json.decode(sys.argv[1], type=list[StoreConfig])]
print("open", flush=True)
sys.stdin.readline()
for at in range(int(sys.argv[2]), 200, 2):
    age = at * 37 % 200
    for store in stores:
        store.write([
            UserFeatures(
                user_id=f"user-{n}", updated_ms=1_000_000 + age, last_event_id=str(age), events=age
            )
            for n in range(10)
        ])
for store in stores:
    store.close()
"""


@pytest.mark.timeout(120)
def test_of_two_writing_processes_the_newest_row_wins(tmp_path: Path, redis_server: str) -> None:
    """Each writes every second of 200 ages, out of order; the newest must stand, and be whole."""
    configs = [
        StoreConfig(directory=str(tmp_path / "one")),
        StoreConfig(directory=str(tmp_path / "two"), redis=redis_server, project="two_writers"),
    ]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, msgspec.json.encode(configs).decode(), str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in (0, 1)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "open\n"
        for writer in writers:  # both, before either is waited for
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        for writer in writers:
            writer.communicate(timeout=60)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert [writer.returncode for writer in writers] == [0, 0]
    for config in configs:
        store = FeastStore(config)
        for known in store.read([f"user-{n}" for n in range(10)]):
            assert known is not None
            assert (known.updated_ms, known.last_event_id, known.events) == (1_000_199, "199", 199)
        store.close()


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    store = FeastStore(StoreConfig(directory=str(folder)))
    store.write([FULL])
    modes = {path.name: stat.S_IMODE(os.stat(path).st_mode) for path in folder.iterdir()}
    assert {"online.db", "online.db-wal", "registry.db", "feature_store.yaml"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    store.close()


def test_a_locked_file_is_unavailable_not_broken(tmp_path: Path) -> None:
    waiter = FeastStore(StoreConfig(directory=str(tmp_path), timeout_ms=50))
    lock = sqlite3.connect(tmp_path / "online.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match=r"SQLite in .* can't be used now: database is locked"):
        waiter.write([FULL])
    assert waiter.read(["ada"]) == [None]  # readers don't wait for writers
    lock.execute("ROLLBACK")
    waiter.write([FULL])
    assert waiter.read(["ada"]) == [FULL]
    lock.close()
    waiter.close()


def test_a_redis_that_is_away_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "secret")
    with socket.socket() as closed:  # bound, never listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        store = FeastStore(StoreConfig(directory=str(tmp_path), redis=address, timeout_ms=200))
        with pytest.raises(Unavailable, match=f"Redis {address} does not answer") as refused:
            store.read(["ada"])
        assert "secret" not in str(refused.value)
        store.close()
