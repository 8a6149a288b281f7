"""The online store in Feast: SQLite in a folder by default, Redis by one setting.

Feast keeps the definitions (`feature_repo`), the registry, and the layout of the online store, and
all reads and writes go through its provider. What is ours is the form of the rows: protobufs built
straight from the structs, several times faster than Feast's way from a DataFrame.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from features.feast_import import light_imports
from features.redis_login import login_options, refusal
from features.store import UserFeatures
from features.store_config import StoreConfig
from stream.errors import Unavailable
from stream.metrics import ONLINE_STORE_ROWS, ONLINE_STORE_SECONDS

with light_imports():
    import redis
    from feast import FeatureStore, RepoConfig, ValueType
    from feast.errors import FeastObjectNotFoundException
    from feast.infra.provider import get_provider
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from features.feast_registry import replace_file
    from features.feature_repo.definitions import user, user_profile, user_profile_source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_make: Any = Value
"""Lists given as dictionaries are not in Feast's type stubs, but build in half the time."""

_TO_PROTO: dict[ValueType, Callable[[Any], Value]] = {
    ValueType.STRING: lambda value: Value(string_val=value),
    ValueType.BYTES: lambda value: Value(bytes_val=value),
    ValueType.INT64: lambda value: Value(int64_val=value),
    ValueType.DOUBLE: lambda value: Value(double_val=value),
    ValueType.STRING_LIST: lambda values: _make(string_list_val={"val": values}),
    ValueType.INT64_LIST: lambda values: _make(int64_list_val={"val": values}),
    ValueType.DOUBLE_LIST: lambda values: _make(double_list_val={"val": values}),
    ValueType.FLOAT_LIST: lambda values: _make(float_list_val={"val": values}),
}

_FROM_PROTO: dict[ValueType, Callable[[Value], Any]] = {
    ValueType.STRING: lambda proto: proto.string_val,
    ValueType.BYTES: lambda proto: proto.bytes_val,
    ValueType.INT64: lambda proto: proto.int64_val,
    ValueType.DOUBLE: lambda proto: proto.double_val,
    ValueType.STRING_LIST: lambda proto: tuple(proto.string_list_val.val),
    ValueType.INT64_LIST: lambda proto: tuple(proto.int64_list_val.val),
    ValueType.DOUBLE_LIST: lambda proto: tuple(proto.double_list_val.val),
    ValueType.FLOAT_LIST: lambda proto: tuple(proto.float_list_val.val),
}

_FIELDS = [(field.name, field.dtype.to_value_type()) for field in user_profile.features]
_WRITERS = [(name, _TO_PROTO[kind]) for name, kind in _FIELDS]
_READERS = {name: _FROM_PROTO[kind] for name, kind in _FIELDS}


class FeastStore:
    """Users' features in Feast; passes for `features.store.OnlineStore`.

    The first process to open a store applies the definitions, and those that come meanwhile wait.
    Calls may come from several threads.

    Raises
    ------
    Unavailable
        By any call, if the file is locked or full, or Redis does not answer; the same call may
        succeed later.
    Halt
        By any call, if Redis refuses our login, our rights or our certificate, or we its.
    """

    def __init__(self, config: StoreConfig) -> None:
        self.config = config
        self._directory = Path(config.directory).absolute()
        self._where = _redis_place(config) if config.redis else f"SQLite in {self._directory}"
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._directory.stat().st_uid == os.getuid():
            self._directory.chmod(0o700)  # whoever made it, whatever the umask was
        settings = _repo_settings(config, self._directory)
        self._repo = RepoConfig(**settings, repo_path=self._directory)
        with self._translated():
            self.feast = self._open(settings)
            self._provider = get_provider(self._repo)
        with suppress(Unavailable):  # it may come later; but who is refused is told now
            self.read([""])

    def write(self, rows: Sequence[UserFeatures]) -> None:
        """Write whole rows; a row older than the one already there is ignored."""
        if not rows:
            return
        with ONLINE_STORE_SECONDS.labels("write").time(), self._translated():
            self._provider.online_write_batch(
                self._repo, user_profile, [_to_feast(row) for row in rows], None
            )
        ONLINE_STORE_ROWS.labels("write").inc(len(rows))

    def read(self, user_ids: Sequence[str]) -> list[UserFeatures | None]:
        """The rows of many users in their order, `None` for an unknown user."""
        if not user_ids:
            return []
        keys = [_entity_key(user_id) for user_id in user_ids]
        with ONLINE_STORE_SECONDS.labels("read").time(), self._translated():
            found = self._provider.online_read(self._repo, user_profile, keys)
            rows = [
                _from_feast(user_id, *row) for user_id, row in zip(user_ids, found, strict=True)
            ]
        ONLINE_STORE_ROWS.labels("read").inc(len(rows))
        return rows

    def forget(self, user_ids: Sequence[str]) -> None:
        """Erase the rows of users, their bytes in the store's files included."""
        if not user_ids:
            return
        keys = [_entity_key(user_id) for user_id in user_ids]
        with ONLINE_STORE_SECONDS.labels("forget").time(), self._translated():
            self._provider.online_store.forget(self._repo, user_profile, keys)
        ONLINE_STORE_ROWS.labels("forget").inc(len(user_ids))

    def close(self) -> None:
        """Release files and connections."""
        self._provider.online_store.close_connection()

    def _open(self, settings: dict[str, Any]) -> FeatureStore:
        """Open Feast, and apply our definitions where the registry has others or none."""
        with open(os.open(self._directory / ".lock", os.O_CREAT | os.O_RDWR, 0o600)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # JSON is YAML too. The file is for the `feast` command: `feast -f FILE ...`.
            replace_file(
                self._directory / "feature_store.yaml", json.dumps(settings, indent=2).encode()
            )
            store = FeatureStore(config=self._repo)
            try:
                known = store.get_feature_view(user_profile.name, allow_registry_cache=False)
                current = known == user_profile
            except FeastObjectNotFoundException:
                current = False
            if not current:
                store.apply([user, user_profile_source, user_profile])
            return store

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except redis.exceptions.RedisError as error:
            if refused := refusal(error, self.config):
                raise refused from None
            if not isinstance(error, _AWAY):
                raise
            msg = f"the online store at {self._where} does not answer: {error}"
            raise Unavailable(msg) from error
        except sqlite3.OperationalError as error:
            msg = f"the online store ({self._where}) can't be used now: {error}"
            raise Unavailable(msg) from error


_AWAY = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


def _redis_place(config: StoreConfig) -> str:
    """Where Redis is, without its options."""
    return f"Redis {config.redis.split(',')[0]}"


def _repo_settings(config: StoreConfig, directory: Path) -> dict[str, Any]:
    """What `feature_store.yaml` would say."""
    online: dict[str, Any]
    if config.redis:
        timeout_s = config.timeout_ms / 1000
        options = f"socket_timeout={timeout_s},socket_connect_timeout={timeout_s}"
        online = {
            "type": "features.feast_redis.NewestRedisOnlineStore",
            "redis_type": "redis_cluster" if config.redis_cluster else "redis",
            "connection_string": f"{config.redis},{options}",
            **login_options(config),
        }
    else:
        online = {
            "type": "features.feast_sqlite.WalSqliteOnlineStore",
            "path": str(directory / "online.db"),
            "busy_timeout_ms": config.timeout_ms,
        }
    return {
        "project": config.project,
        "provider": "local",
        "registry": {
            "registry_store_type": "features.feast_registry.AtomicFileRegistryStore",
            "path": str(directory / "registry.db"),
        },
        "online_store": online,
        "entity_key_serialization_version": 3,
    }


def _entity_key(user_id: str) -> EntityKey:
    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])


def _to_feast(row: UserFeatures) -> tuple[EntityKey, dict[str, Value], datetime, None]:
    values = {name: to_proto(getattr(row, name)) for name, to_proto in _WRITERS}
    return _entity_key(row.user_id), values, _EPOCH + row.updated_ms * _MILLISECOND, None


def _from_feast(
    user_id: str, time: datetime | None, values: dict[str, Value] | None
) -> UserFeatures | None:
    if time is None or values is None:
        return None
    known = {
        name: _READERS[name](proto)
        for name, proto in values.items()
        if name in _READERS and proto.WhichOneof("val") is not None
    }
    if not known:  # how Feast's Redis store says that it has nothing
        return None
    return UserFeatures(user_id=user_id, updated_ms=(time - _EPOCH) // _MILLISECOND, **known)
