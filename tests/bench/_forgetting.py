"""A stack with users who leave traces everywhere, some of whom are then forgotten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import redis
from kafka import KafkaProducer

from features.store_feast import FeastStore
from infra.bench.stack import OwnStack
from infra.demo.reading import read_topic
from infra.export import export_user
from infra.lag import lag
from infra.settings import Settings
from infra.wiring import store_config
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.topics import Topics
from tests.bench._byte_search import ID, Found, joined, search_folder, search_redis

ITEMS = [f"item-{n}" for n in range(40)]
UNKNOWN = "item-nobody-sells"
"""Events of it wait in the learner, with their users' ids."""

QUICK = {"log.retention.check.interval.ms": "1000", "log.cleaner.backoff.ms": "500"}
"""A broker that deletes and compacts as soon as it may, for a short test."""

WAIT_S = 300.0
LOOK_S = 0.25


class Shop:
    """Produces what leaves traces of users."""

    def __init__(self, kafka: KafkaConfig, seed: int) -> None:
        self._topics = Topics(kafka.topic_prefix)
        self._rng = Random(seed)
        self._producer = KafkaProducer(
            **kafka.client_settings(), acks="all", compression_type="lz4", linger_ms=20
        )

    def items(self) -> None:
        """Say what is sold."""
        for n, item_id in enumerate(ITEMS):
            item = {"item_id": item_id, "title": f"Pot {n}", "category": f"Kitchen > {n % 4}"}
            self._send("items", item, item_id.encode())
        self._producer.flush(60)

    def trade(self, users: Sequence[str], events: int) -> None:
        """Some events of each user, a review with words, a request, and a dead letter or two."""
        for user_id in users:
            for _ in range(events):
                item_id = self._rng.choice([*ITEMS, UNKNOWN])
                self._send("clicks", self._event(user_id, item_id))
            self._send("purchases", self._event(user_id, self._rng.choice(ITEMS)))
            words = {"rating": 5, "text": f"I, {user_id}, like it."}
            self._send("reviews", self._event(user_id, ITEMS[0]) | words)
            self._send("requests", {"request_id": f"r-{user_id}", "user_id": user_id, "k": 3})
        for user_id in users[::3]:
            self._send("reviews", self._event(user_id, ITEMS[1]) | {"rating": 9})
            broken = f'{{"user_id": "{user_id}", "item'.encode()
            headers = [("by", b"the shop"), ("user", user_id.encode())]
            self._producer.send(
                self._topics.clicks, value=broken, key=b"any", headers=headers, timestamp_ms=1_000
            )
            self._producer.send(self._topics.clicks, value=b"?", key=user_id.encode())
        self._producer.flush(60)

    def close(self) -> None:
        """Disconnect."""
        self._producer.close(timeout=10)

    def _event(self, user_id: str, item_id: str) -> dict[str, Any]:
        return {"user_id": user_id, "item_id": item_id, "ts": int(time.time() * 1000)}

    def _send(self, topic: str, value: dict[str, Any], key: bytes | None = None) -> None:
        name = f"{self._topics.prefix}{topic}"
        self._producer.send(name, key=key, value=json.dumps(value).encode())


class Stage(OwnStack):
    """A supervised stack in a folder, and what can be found of users in it."""

    def __init__(self, folder: Path, redis_port: int | None, *, quick: bool = False) -> None:
        self.folder = folder
        self._redis = None if redis_port is None else redis.Redis(port=redis_port)
        settings = Settings.load(
            environ={},
            assignments=[
                "learner.publish_every_s=2",
                *(f"metrics.{n}=0" for n in ("supervisor", "ingest_profile", "learner", "serving")),
                *([] if redis_port is None else [f"store.redis=127.0.0.1:{redis_port}"]),
            ],
        )
        super().__init__(folder, settings, broker_settings=QUICK if quick else None)

    @property
    def kafka(self) -> KafkaConfig:
        """Where the broker is."""
        return self.supervisor.kafka

    def settle(self, ready: Callable[[], bool] = lambda: True) -> None:
        """Wait until every role has read everything."""
        deadline_s = time.monotonic() + WAIT_S
        while any((left := lag(self.kafka)).values()) or not ready():
            self.supervisor.check()
            assert time.monotonic() < deadline_s, f"left after {WAIT_S:g} s: {left}, {self.said}"
            time.sleep(LOOK_S)

    def watch(self, seconds: float) -> None:
        """See for a while that no role falls over what was left to it."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self.supervisor.check()
            time.sleep(LOOK_S)

    def search(self) -> tuple[Found, int]:
        """Ids in the data folder, the broker's included, and in Redis and its files."""
        found, searched = search_folder(self.folder)
        return (joined(found, search_redis(self._redis)) if self._redis else found), searched

    def letters_of(self, users: Sequence[str]) -> Counter[Any]:
        """The dead letters of users, byte for byte."""
        wanted, topic = set(users), Topics(self.kafka.topic_prefix).dead_letters
        letters = Counter[Any]()
        for _, record in read_topic(self.kafka, topic):
            parts = [record.value or b"", *(text or b"" for _, text in record.headers)]
            if any(word.decode() in wanted for part in parts for word in ID.findall(part)):
                whole = (record.key, record.value, record.timestamp, tuple(record.headers))
                letters[whole] += 1
        return letters

    def known(self, user_id: str) -> dict[str, Any]:
        """What `tidemill user --export` says."""
        store = FeastStore(store_config(self.supervisor.settings))
        try:
            return export_user(user_id, self.kafka, store, SystemClock())
        finally:
            store.close()

    def shown(self, user_id: str, *options: str) -> str:
        """What `tidemill user` prints."""
        command = [sys.executable, "-m", "infra.cli", "user", user_id, *options]
        return subprocess.run(
            command,
            env={**os.environ, **self.supervisor.settings.environment()},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout

    def forget(self, users: Sequence[str], *options: str) -> dict[str, Any]:
        """Run the command, as a person would; returns its last line."""
        code, said, told = self._forget(users, options)
        sys.stderr.write(told)
        assert code == 0, told
        figures: dict[str, Any] = json.loads(said.splitlines()[-1])
        return figures

    def begin_to_forget(self, users: Sequence[str]) -> None:
        """Run the command without the time that it needs: it asks, and has to say what is left."""
        code, _, told = self._forget(users, ("--timeout", "0"))
        assert code == 1, told
        assert "not done in 0 s: waiting" in told and "goes on with the rest" in told, told

    def _forget(self, users: Sequence[str], options: Sequence[str]) -> tuple[int, str, str]:
        listed = self.folder.parent / f"{self.folder.name}-leaving.txt"
        listed.write_text("".join(f"{user_id}\n" for user_id in users))
        command = [sys.executable, "-m", "infra.cli", "forget", "--from-file", str(listed)]
        command += ["--bootstrap-servers", self.kafka.bootstrap_servers, "--yes", "--json"]
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, check=False, timeout=1_200
        )
        listed.unlink()
        return done.returncode, done.stdout, done.stderr
