"""Feast's Redis store, in which the newest row wins even between two writers.

Feast's own reads the stored time, compares, and then writes: two writers can pass each other
between the steps. It also refuses a row with the same time as the one stored, which two events of
one millisecond have. Here a script compares and writes within Redis, many users by one call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from operator import attrgetter
from struct import Struct
from typing import Any, Literal

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from features.feast_import import light_imports
from features.feast_values import (
    entity_key,
    kinds_of,
    milliseconds_of,
    row_of,
    user_key,
)
from features.feast_wire import wire_of, wire_time
from features.redis_login import client_arguments
from features.store import UserFeatures

with light_imports():
    from feast import FeatureView, RepoConfig
    from feast.infra.online_stores.helpers import _mmh3, _redis_key
    from feast.infra.online_stores.redis import (
        RedisOnlineStore,
        RedisOnlineStoreConfig,
        RedisType,
    )
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

_WRITE_UNLESS_OLDER = """
for i, key in ipairs(KEYS) do
  local count, at = struct.unpack('<I4', ARGV[i + 1])
  local row = {struct.unpack('<' .. string.rep('I4c0', count), ARGV[i + 1], at)}
  table.remove(row) -- where the reading ended
  local stored = redis.call('HMGET', key, row[1], row[3])
  local older_ms = stored[1] and tonumber(stored[1]) - tonumber(row[2]) or -1
  local older_n = stored[2] and tonumber(stored[2]) - tonumber(row[4]) or -1
  if older_ms < 0 or (older_ms == 0 and older_n <= 0) then
    redis.call('HSET', key, unpack(row))
  end
  if ARGV[1] ~= '0' then redis.call('EXPIRE', key, ARGV[1]) end
end
"""
"""ARGV holds for how long rows are kept, 0 for ever, and then each key's row: how many strings it
has, and field after value, each with its length. The event time is the first, as a number that Lua
can compare (Feast's own is a protobuf), then the number of events, then what Feast reads.
Milliseconds fit a Lua number. An argument for each string would take the client far longer."""

ROWS_PER_CALL = 64
"""Rows that one call of the script writes: some 2 ms, for which Redis does nothing else."""

REWRITE_TIMEOUT_S = 120.0
"""Redis writes some 100 MB a second; what takes longer counts as away, and is asked again."""

LOOK_S = 0.05
"""Pause between two questions whether Redis has written its files."""

log = logging.getLogger(__name__)


class NewestRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Feast's settings of its Redis store."""

    type: Literal["features.feast_redis.NewestRedisOnlineStore"] = (
        "features.feast_redis.NewestRedisOnlineStore"
    )
    username: str = ""
    password_env: str = ""
    tls: bool = False
    tls_ca_file: str = ""
    tls_certificate_file: str = ""
    tls_key_file: str = ""


class NewestRedisOnlineStore(RedisOnlineStore):
    """Feast's online store interface on Redis or a Redis Cluster; Feast's layout and reads."""

    _client: Any

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        if not self._client:
            config = online_store_config
            nodes, arguments = self._parse_connection_string(config.connection_string)
            arguments |= client_arguments(config.model_dump())
            if config.redis_type == RedisType.redis_cluster:
                places = [ClusterNode(node["host"], int(node["port"])) for node in nodes]
                self._client = RedisCluster(startup_nodes=places, **arguments)
            else:
                node = nodes[0]
                self._client = Redis(host=node["host"], port=int(node["port"]), **arguments)
            # Once more, at once, for a connection that was idle for too long. Longer waits are the
            # caller's, who knows whether a shopper is waiting; redis-py's own take 5 s and more.
            self._client.set_retry(Retry(NoBackoff(), 1))
        return self._client

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows in one round trip; each only where none with a later event time is."""
        names = _Names(table)
        rows = []
        version = config.entity_key_serialization_version
        for entity, values, event_time, _ in data:
            key = _redis_key(config.project, entity, entity_key_serialization_version=version)
            events = values["events"].int64_val if "events" in values else 0
            made = [value.SerializeToString() for value in values.values()]
            rows.append((key, names.row(milliseconds_of(event_time), events, values, made)))
        self._write(config, rows)
        if progress:
            progress(len(data))

    def _write(self, config: RepoConfig, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Write keys and their fields, packed, in one round trip; rows may be made meanwhile."""
        online = config.online_store
        ttl_s = online.key_ttl_seconds or 0
        client = self._get_client(online)
        if online.redis_type == RedisType.redis_cluster:  # each key has its own node
            with client.pipeline(transaction=False) as pipe:
                for key, packed in rows:
                    pipe.eval(_WRITE_UNLESS_OLDER, 1, key, ttl_s, packed)
                pipe.execute()
            return
        calls = (
            ("EVAL", _WRITE_UNLESS_OLDER, len(part), *(key for key, _ in part), ttl_s)
            + tuple(packed for _, packed in part)
            for part in _parts(rows, ROWS_PER_CALL)
        )
        _send_while_made(client.connection_pool, calls)

    def make_tables(self, config: RepoConfig, views: Sequence[FeatureView]) -> None:
        """Do nothing: Redis has none."""

    def write_rows(
        self, config: RepoConfig, table: FeatureView, rows: Sequence[UserFeatures]
    ) -> None:
        """Write users' rows; each only where none is newer."""
        names, project = _Names(table), config.project.encode()
        kinds = kinds_of(table)
        values, wires = attrgetter(*kinds), [wire_of(kind) for kind in kinds.values()]

        def packed() -> Iterator[tuple[bytes, bytes]]:
            for row in rows:
                made = [wire(value) for wire, value in zip(wires, values(row), strict=True)]
                key = user_key(row.user_id) + project
                yield key, names.row(row.updated_ms, row.events, kinds, made)

        self._write(config, packed())

    def read_rows(
        self, config: RepoConfig, table: FeatureView, user_ids: Sequence[str]
    ) -> list[UserFeatures | None]:
        """Users' rows in their order, `None` for an unknown user."""
        kinds = kinds_of(table)
        found = self.online_read(config, table, [entity_key(user_id) for user_id in user_ids])
        return [
            None
            if time is None or protos is None
            else row_of(user_id, milliseconds_of(time), protos, kinds)
            for user_id, (time, protos) in zip(user_ids, found, strict=True)
        ]

    def forget(
        self, config: RepoConfig, table: FeatureView, entity_keys: Sequence[EntityKey]
    ) -> None:
        """Delete users' rows, and have Redis write the files that it keeps without them."""
        client = self._get_client(config.online_store)
        version = config.entity_key_serialization_version
        for name in entity_keys:  # one by one: in a cluster each has its own node
            key = _redis_key(config.project, name, entity_key_serialization_version=version)
            client.delete(key)
        rewrite_files(client, REWRITE_TIMEOUT_S)

    def close_connection(self) -> None:
        """Close the connections; the next call opens them again."""
        if self._client is not None:
            self._client.close()
            self._client = None


class _Names:
    """What Feast calls the fields of a view's rows."""

    def __init__(self, view: FeatureView) -> None:
        name = view.name
        self._times = [_sized(f"{what}:{name}".encode()) for what in ("_ms", "_n", "_ts")]
        self._hashes = {one.name: _sized(_mmh3(f"{name}:{one.name}")) for one in view.features}

    def row(
        self, updated_ms: int, events: int, names: Iterable[str], values: Sequence[bytes]
    ) -> bytes:
        """Field after value, as the script reads them."""
        time, count, stamp = self._times
        parts = [
            _length(2 * (len(self._times) + len(values))),
            time,
            _sized(b"%d" % updated_ms),
            count,
            _sized(b"%d" % events),
            stamp,
            _sized(wire_time(updated_ms)),
        ]
        for name, value in zip(names, values, strict=True):
            parts += (self._hashes[name], _length(len(value)), value)
        return b"".join(parts)


def _parts(rows: Iterable[tuple[bytes, bytes]], size: int) -> Iterator[list[tuple[bytes, bytes]]]:
    left = iter(rows)
    while part := list(islice(left, size)):
        yield part


def _send_while_made(pool: ConnectionPool, calls: Iterable[tuple[Any, ...]]) -> None:
    """Send each call as soon as it is made, then read all answers: Redis works while we do.

    A pipeline of redis-py sends nothing before the last call is made.
    """
    connection = pool.get_connection()
    try:
        sent = 0
        for call in calls:
            connection.send_command(*call)
            sent += 1
        for _ in range(sent):
            connection.read_response()
    except BaseException:
        connection.disconnect()  # answers may be left in it, which are not the next caller's
        raise
    finally:
        pool.release(connection)


_length = Struct("<I").pack


def _sized(value: bytes) -> bytes:
    return _length(len(value)) + value


def rewrite_files(client: Any, timeout_s: float) -> None:
    """Have Redis write its append-only file and its snapshot anew, if it keeps any, and wait.

    A Redis that doesn't let us (many hosted ones don't) is named in the log: its provider's own
    backups and snapshots then hold what was deleted until they are replaced.
    """
    targets = getattr(client, "get_primaries", None)
    nodes = [node.redis_connection for node in targets()] if targets else [client]
    for node in nodes:
        try:
            _rewrite(node, time.monotonic() + timeout_s)
        except ResponseError as error:
            log.warning(
                "Redis doesn't write its files anew for us (%s): what was deleted stays in them "
                "until it next does; `BGREWRITEAOF` and `BGSAVE` do it by hand",
                error,
            )


def _rewrite(node: Any, deadline_s: float) -> None:
    kept = node.info("persistence")
    if kept["aof_enabled"]:
        _until_idle(node, deadline_s)
        node.bgrewriteaof()
        _until_idle(node, deadline_s)
    # A snapshot may lie there from a save by hand, whatever the settings say.
    by_hand = kept.get("rdb_saves") or kept.get("rdb_last_load_keys_loaded")
    if by_hand or node.config_get("save").get("save"):
        _until_idle(node, deadline_s)
        node.bgsave()
        _until_idle(node, deadline_s)
    kept = node.info("persistence")
    if "err" in (kept["aof_last_bgrewrite_status"], kept["rdb_last_bgsave_status"]):
        msg = "Redis could not write its files anew; see its log"
        raise RedisTimeoutError(msg)


def _until_idle(node: Any, deadline_s: float) -> None:
    busy = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
    while any(node.info("persistence").get(name) for name in busy):
        if time.monotonic() > deadline_s:
            msg = "Redis has not written its files anew in time"
            raise RedisTimeoutError(msg)
        time.sleep(LOOK_S)
