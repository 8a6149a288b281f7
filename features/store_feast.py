"""The online store in Feast: SQLite in a folder by default, Redis by one setting.

Feast keeps the definitions (`feature_repo`), the registry, and the layout of the online store, and
its own calls read and write what we do. Ours go past its DataFrames and, in SQLite, past protobufs
(`features.feast_sqlite`, `features.feast_redis`), which is many times faster.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
    from feast import FeatureStore, RepoConfig
    from feast.errors import FeastObjectNotFoundException
    from feast.infra.provider import get_provider

    from features.feast_registry import replace_file
    from features.feast_values import entity_key
    from features.feature_repo.definitions import user, user_profile, user_profile_source


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
            self._online: Any = get_provider(self._repo).online_store
            self.feast = self._open(settings)
        with suppress(Unavailable):  # it may come later; but who is refused is told now
            self.read([""])

    def write(self, rows: Sequence[UserFeatures]) -> None:
        """Write whole rows; a row older than the one already there is ignored."""
        if not rows:
            return
        with ONLINE_STORE_SECONDS.labels("write").time(), self._translated():
            self._online.write_rows(self._repo, user_profile, rows)
        ONLINE_STORE_ROWS.labels("write").inc(len(rows))

    def read(self, user_ids: Sequence[str]) -> list[UserFeatures | None]:
        """The rows of many users in their order, `None` for an unknown user."""
        if not user_ids:
            return []
        with ONLINE_STORE_SECONDS.labels("read").time(), self._translated():
            rows: list[UserFeatures | None] = self._online.read_rows(
                self._repo, user_profile, user_ids
            )
        ONLINE_STORE_ROWS.labels("read").inc(len(rows))
        return rows

    def forget(self, user_ids: Sequence[str]) -> None:
        """Erase the rows of users, their bytes in the store's files included."""
        if not user_ids:
            return
        keys = [entity_key(user_id) for user_id in user_ids]
        with ONLINE_STORE_SECONDS.labels("forget").time(), self._translated():
            self._online.forget(self._repo, user_profile, keys)
        ONLINE_STORE_ROWS.labels("forget").inc(len(user_ids))

    def close(self) -> None:
        """Release files and connections."""
        self._online.close_connection()

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
            self._online.make_tables(self._repo, [user_profile])
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
