"""Feast's SQLite store for several processes at once, in which the newest row wins.

Feast's own lets an older row overwrite a newer one, keeps event times in whole seconds, locks
readers out while it writes, and has a row for each feature: 23 of each user. This one has a
write-ahead log, a busy timeout, an upsert that compares event times in the database, and one row
for each user, whose features are a msgpack map of plain values. Feast's own calls make its
protobufs of them; `write_rows` and `read_rows` do without.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import msgspec

from features.feast_import import light_imports
from features.feast_values import (
    datetime_of,
    from_proto,
    kinds_of,
    milliseconds_of,
    to_proto,
    user_key,
)
from features.store import UserFeatures

with light_imports():
    from feast import Entity, FeatureView, RepoConfig
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

_OURS = "user_profile"
"""The view whose rows `read_rows` reads, also where Feast's own calls wrote them."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(dict[str, Any]).decode
_row = msgspec.msgpack.Decoder(UserFeatures).decode

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
        """Make the tables of feature views, and drop those no longer defined."""
        self.make_tables(config, tables_to_keep)
        with self._lock:
            conn = self._get_conn(config)
            for view in tables_to_delete:
                conn.execute(f"DROP TABLE IF EXISTS {_table(config, view)}")

    def make_tables(self, config: RepoConfig, views: Sequence[FeatureView]) -> None:
        """Make tables that are missing, and drop what release 0.1 had in their place.

        Its rows come back from the states, as the witnesses are gone with them.
        """
        with self._lock:
            conn = self._get_conn(config)
            for view in views:
                conn.execute(f"DROP TABLE IF EXISTS {_quoted(_name(config, view))}")
                conn.execute(
                    f"CREATE TABLE IF NOT EXISTS {_table(config, view)} (entity_key BLOB PRIMARY "
                    "KEY, event_ms INTEGER, events INTEGER, features BLOB)"
                )

    def write_rows(
        self, config: RepoConfig, table: FeatureView, rows: Sequence[UserFeatures]
    ) -> None:
        """Write users' rows; each only where none is newer."""
        self._write(
            config, table, [(user_key(r.user_id), r.updated_ms, r.events, _pack(r)) for r in rows]
        )

    def read_rows(
        self, config: RepoConfig, table: FeatureView, user_ids: Sequence[str]
    ) -> list[UserFeatures | None]:
        """Users' rows in their order, `None` for an unknown user."""
        keys = [user_key(user_id) for user_id in user_ids]
        found = self._read(config, table, keys)
        return [_row(found[key][1]) if key in found else None for key in keys]

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows in one transaction; each only where none with a later event time is."""
        kinds = kinds_of(table)
        rows = []
        for key, protos, event_time, _ in data:
            known = ((name, from_proto(kinds[name], proto)) for name, proto in protos.items())
            values = {name: value for name, value in known if value is not None}
            updated_ms = milliseconds_of(event_time)
            if table.name == _OURS:
                values["updated_ms"] = updated_ms
                values["user_id"] = key.entity_values[0].string_val
            events = values.get("events") or 0
            rows.append((_key(config, key), updated_ms, events, _pack(values)))
        self._write(config, table, rows)
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
        kinds = kinds_of(table)
        wanted = kinds if requested_features is None else requested_features
        keys = [_key(config, entity_key) for entity_key in entity_keys]
        found: dict[bytes, tuple[datetime, dict[str, Value]]] = {}
        for key, (updated_ms, packed) in self._read(config, table, keys).items():
            values = _unpack(packed)
            protos = {n: to_proto(kinds[n], values[n]) for n in wanted if n in values}
            found[key] = datetime_of(updated_ms), protos
        return [found.get(key, (None, None)) for key in keys]

    def _write(
        self, config: RepoConfig, table: FeatureView, rows: list[tuple[bytes, int, int, bytes]]
    ) -> None:
        # Of rows of one time the one that counts more events is the newer.
        upsert = (
            f"INSERT INTO {_table(config, table)} (entity_key, event_ms, events, features) "
            "VALUES (?, ?, ?, ?) ON CONFLICT (entity_key) DO UPDATE SET event_ms = "
            "excluded.event_ms, events = excluded.events, features = excluded.features WHERE "
            "(excluded.event_ms, excluded.events) >= (event_ms, events)"
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

    def _read(
        self, config: RepoConfig, table: FeatureView, keys: Sequence[bytes]
    ) -> dict[bytes, tuple[int, bytes]]:
        """Time and features of those that are there."""
        found: dict[bytes, tuple[int, bytes]] = {}
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            some = keys[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            query = (
                f"SELECT entity_key, event_ms, features FROM {_table(config, table)} "
                f"WHERE entity_key IN ({marks})"
            )
            with self._lock:
                rows = self._get_conn(config).execute(query, some).fetchall()
            found.update((key, (updated_ms, packed)) for key, updated_ms, packed in rows)
        return found

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


def _name(config: RepoConfig, view: FeatureView) -> str:
    """Feast's own name of a view's table."""
    return str(
        compute_table_id(
            config.project, view, config.registry.enable_online_feature_view_versioning
        )
    )


def _table(config: RepoConfig, view: FeatureView) -> str:
    return _quoted(f"{_name(config, view)}_rows")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _key(config: RepoConfig, entity_key: EntityKey) -> bytes:
    version = config.entity_key_serialization_version
    return bytes(serialize_entity_key(entity_key, entity_key_serialization_version=version))
