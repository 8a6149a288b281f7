"""Feast's SQLite store for several processes at once, in which the newest row wins.

Feast's own lets an older row overwrite a newer one, keeps event times in whole seconds, and locks
readers out while it writes. This one keeps Feast's table and replaces how it is opened and used:
write-ahead log, a busy timeout, and an upsert that compares event times in the database.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from features.feast_import import light_imports

with light_imports():
    from feast import Entity, FeatureView, RepoConfig
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_KEYS_PER_QUERY = 500
"""Below SQLite's limit of bound variables in its oldest supported builds, 999."""

_RETRY_S = (0.0002, 0.001)
"""Between two tries to write, at random, so that waiting writers take turns; a write takes 1 ms."""

_CACHE_KIB = 32_768
"""Pages kept in memory: some 10,000 users. With SQLite's own 2 MiB, most writes read first."""


class WalSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Feast's settings of its SQLite store, and how long to wait for another writer."""

    type: Literal["features.feast_sqlite.WalSqliteOnlineStore"] = (
        "features.feast_sqlite.WalSqliteOnlineStore"
    )
    busy_timeout_ms: int = 5_000


class WalSqliteOnlineStore(SqliteOnlineStore):
    """Feast's online store interface on one SQLite file, safe for many writers and readers."""

    _conn: sqlite3.Connection | None

    def __init__(self) -> None:
        super().__init__()
        self._conn = None
        self._lock = Lock()

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        if self._conn is None:
            path = Path(self._get_db_path(config))
            path.parent.mkdir(parents=True, exist_ok=True)
            # The log and the shared memory file take their permissions from the database.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            conn = sqlite3.connect(
                path,
                timeout=config.online_store.busy_timeout_ms / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
            conn.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the newest rows, never damage the file; profiles rewrite them.
            conn.execute("PRAGMA synchronous = NORMAL")
            conn.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self._conn = conn
        return self._conn

    def update(  # noqa: PLR0917 - Feast's signature
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables of feature views, ordered by user, and drop those no longer defined."""
        with self._lock:
            conn = self._get_conn(config)
            for view in tables_to_keep:
                conn.execute(
                    f"CREATE TABLE IF NOT EXISTS {_table(config, view)} (entity_key BLOB, "
                    "feature_name TEXT, value BLOB, value_text TEXT, vector_value BLOB, "
                    "event_ts timestamp, created_ts timestamp, "
                    "PRIMARY KEY (entity_key, feature_name)) WITHOUT ROWID"
                )
            for view in tables_to_delete:
                conn.execute(f"DROP TABLE IF EXISTS {_table(config, view)}")

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows in one transaction; each only where none with a later event time is."""
        rows = []
        for entity_key, values, event_time, _ in data:
            key = _key(config, entity_key)
            age = _milliseconds(event_time), values["events"].int64_val if "events" in values else 0
            rows += [(key, name, value.SerializeToString(), *age) for name, value in values.items()]
        # Nobody reads Feast's `created_ts`: it holds the number of events, which decides between
        # rows of one time.
        upsert = (
            f"INSERT INTO {_table(config, table)} "
            "(entity_key, feature_name, value, event_ts, created_ts) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (entity_key, feature_name) DO UPDATE "
            "SET value = excluded.value, event_ts = excluded.event_ts, "
            "created_ts = excluded.created_ts WHERE excluded.event_ts > event_ts "
            "OR (excluded.event_ts = event_ts AND excluded.created_ts >= coalesce(created_ts, 0))"
        )
        with self._lock:
            conn = self._get_conn(config)
            _begin(conn, config.online_store.busy_timeout_ms)
            try:
                conn.executemany(upsert, rows)
            except BaseException:
                conn.execute("ROLLBACK")
                raise
            conn.execute("COMMIT")
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Read the rows of many users, each as one writer left it."""
        keys = [_key(config, entity_key) for entity_key in entity_keys]
        found: dict[bytes, tuple[datetime, dict[str, Value]]] = {}
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            some = keys[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            query = (
                "SELECT entity_key, feature_name, value, event_ts "
                f"FROM {_table(config, table)} WHERE entity_key IN ({marks}) ORDER BY entity_key"
            )
            with self._lock:
                rows = self._get_conn(config).execute(query, some).fetchall()
            for key, group in groupby(rows, key=lambda row: row[0]):
                features = list(group)
                found[key] = (
                    _EPOCH + features[0][3] * _MILLISECOND,
                    {
                        name: Value.FromString(value)
                        for _, name, value, _ in features
                        if requested_features is None or name in requested_features
                    },
                )
        return [found.get(key, (None, None)) for key in keys]

    def forget(
        self, config: RepoConfig, table: FeatureView, entity_keys: Sequence[EntityKey]
    ) -> None:
        """Erase users' rows, and their bytes from the file and its log.

        1. The rows are deleted. 2. The file is written anew, because a page that was split or
        merged keeps old bytes in its unused part. 3. The log is emptied, once nobody reads it. A
        crash or a refusal in between leaves deleted rows whose bytes are still there; the caller
        asks again.
        """
        rows = [(_key(config, entity_key),) for entity_key in entity_keys]
        with self._lock:
            conn = self._get_conn(config)
            # 1.
            conn.execute("BEGIN IMMEDIATE")
            try:
                conn.executemany(f"DELETE FROM {_table(config, table)} WHERE entity_key = ?", rows)
            except BaseException:
                conn.execute("ROLLBACK")
                raise
            conn.execute("COMMIT")
            # 2.
            conn.execute("VACUUM")
            # 3. Waits for readers and writers as long as any call does.
            busy, _, _ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            msg = "its log is in use, so that erased rows are still in it"
            raise sqlite3.OperationalError(msg)

    def close_connection(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._conn is not None:
                self._conn.close()
                self._conn = None


def _begin(conn: sqlite3.Connection, timeout_ms: int) -> None:
    """Begin to write: other writers are waited for here, not halfway.

    SQLite's own waiting sleeps up to 100 ms at a time, while the lock is free again after one.
    """
    deadline_s = time.monotonic() + timeout_ms / 1000
    conn.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                conn.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() >= deadline_s:
                    raise
                time.sleep(random.uniform(*_RETRY_S))
            else:
                return
    finally:
        conn.execute(f"PRAGMA busy_timeout = {timeout_ms}")


def _table(config: RepoConfig, view: FeatureView) -> str:
    name: str = compute_table_id(
        config.project, view, config.registry.enable_online_feature_view_versioning
    )
    return '"' + name.replace('"', '""') + '"'


def _key(config: RepoConfig, entity_key: EntityKey) -> bytes:
    version = config.entity_key_serialization_version
    return bytes(serialize_entity_key(entity_key, entity_key_serialization_version=version))


def _milliseconds(time: datetime) -> int:
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND
