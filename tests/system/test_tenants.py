"""Two shops on one Tidemill, through a real broker: the same ids everywhere, and nothing shared.

Both sell `i0` to `i7`, have users `u0` to `u5`, and send the same event ids. `acme` sells teas,
`brew` sells drills, whose buyers write other reviews.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from kafka import KafkaConsumer, KafkaProducer

from stream.connect import KafkaConfig
from stream.events import Recommendation, decode_recommendation
from stream.letters import read_letter
from stream.tenants import item_key
from tests.conftest import REPOSITORY, Spawn

WAIT_S = 120.0
ROLES = ("ingest+profile", "learner", "serving")
WORDS = {"acme": ("tea", "Tea", "lovely, pours well"), "brew": ("drill", "Tools", "awful, broke")}
USERS, ITEMS = 6, 8
SHOP_TOPICS = ("recommendations", "readings", "interest-shifts", "profiles")
READ = (*SHOP_TOPICS, "item-vectors", "dead-letters")

T = TypeVar("T")


class Stack:
    """The three roles, a producer, and what the shops can read."""

    def __init__(self, kafka: KafkaConfig, spawn: Spawn, folder: Path) -> None:
        self.kafka = kafka
        self._spawn = spawn
        self.env = {
            "TIDEMILL_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "TIDEMILL_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "TIDEMILL_RUN_DATA_DIR": str(folder / "data"),
            "TIDEMILL_TENANTS_NAMES": "acme,brew",
            "TIDEMILL_LEARNER_PUBLISH_EVERY_S": "1",
            "TIDEMILL_LEARNER_ENCODER_MODEL": "",
            "TIDEMILL_LEARNER_ENCODER_WIDTH": "64",
            "TIDEMILL_LEARNER_MODEL_TRANSFORMER": "false",
            "TIDEMILL_LEARNER_DEVICE": "cpu",
            "TIDEMILL_LEARNER_THREADS": "1",
            **{f"TIDEMILL_METRICS_{n}": "-1" for n in ("INGEST_PROFILE", "LEARNER", "SERVING")},
        }
        self._producer = KafkaProducer(**kafka.client_settings(), acks="all")
        self._consumer = KafkaConsumer(
            *(f"{kafka.topic_prefix}{name}" for name in READ),
            **kafka.client_settings(),
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            enable_auto_commit=False,
        )
        self._read: dict[str, list[Any]] = {name: [] for name in READ}
        self._asked = 0
        self.start()

    def start(self) -> None:
        self.processes = [
            self._spawn("infra.cli", "worker", role, name=role, env=self.env) for role in ROLES
        ]

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            assert process.wait(60) == 0

    def close(self) -> None:
        self._producer.close(5)
        self._consumer.close()

    def send(self, topic: str, key: str | None = None, /, **value: Any) -> None:
        data = {name: part for name, part in value.items() if part not in ("", None)}
        self._producer.send(
            f"{self.kafka.topic_prefix}{topic}",
            key=key.encode() if key else None,
            value=json.dumps(data).encode() if data else None,
        )

    def ask(self, tenant: str, user_id: str = "u1", **more: Any) -> Recommendation:
        self._asked += 1
        name = f"r{self._asked}"
        wanted = {"request_id": name, "user_id": user_id, "tenant": tenant, "k": 5, **more}
        self.send("requests", user_id, **wanted)
        self._producer.flush(30)
        return self.until(lambda: self._answer(tenant, name))

    def _answer(self, tenant: str, request_id: str) -> Recommendation | None:
        for value in self.values("recommendations"):
            answer = decode_recommendation(value)
            if answer.request_id == request_id and (answer.tenant or "") == tenant:
                return answer
        return None

    def records(self, topic: str) -> list[Any]:
        """What is on a topic by now, but for tombstones."""
        for some in self._consumer.poll(timeout_ms=200).values():
            for record in some:
                if record.value is not None:
                    self._read[record.topic.removeprefix(self.kafka.topic_prefix)].append(record)
        return self._read[topic]

    def values(self, topic: str) -> Iterator[bytes]:
        return (record.value for record in self.records(topic))

    def until(self, found: Callable[[], T | None]) -> T:
        deadline_s = time.monotonic() + WAIT_S
        while (value := found()) is None:
            assert time.monotonic() < deadline_s, "nothing came"
            for process in self.processes:
                assert process.poll() is None, process.args
        return value

    def command(self, *arguments: str, check: bool = True) -> str:
        return subprocess.run(
            [sys.executable, "-m", "infra.cli", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=check,
            timeout=WAIT_S,
        ).stdout

    def known(self, tenant: str, user_id: str = "u1") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.command("user", user_id, "--tenant", tenant, "--export")
        )
        return found


@pytest.fixture
def stack(kafka_config: KafkaConfig, spawn: Spawn, tmp_path: Path) -> Iterator[Stack]:
    made = Stack(kafka_config, spawn, tmp_path)
    yield made
    made.close()


def trade(stack: Stack) -> None:
    """Both shops' catalogues and events; acme's users do twice as much as brew's."""
    for tenant, (word, category, _) in WORDS.items():
        for n in range(ITEMS):
            stack.send(
                "items",
                item_key(tenant, f"i{n}"),
                item_id=f"i{n}",
                tenant=tenant,
                title=f"{word} {n}",
                category=category,
            )
    stack.send("items", "i0", item_id="i0", title="old lamp", category="Lamps")
    stack.until(lambda: len(list(stack.values("item-vectors"))) >= 2 * ITEMS + 1 or None)
    now_ms = int(time.time() * 1000)
    for tenant, rounds in (("acme", 20), ("brew", 10)):
        for n in range(rounds):
            for u in range(USERS):
                stack.send(
                    "clicks",
                    f"u{u}",
                    tenant=tenant,
                    user_id=f"u{u}",
                    item_id=f"i{(n + u) % ITEMS}",
                    event_id=f"e{n}",
                    ts=now_ms - 60_000 * (30 - n),
                )
        stack.send(
            "reviews",
            "u1",
            tenant=tenant,
            user_id="u1",
            item_id="i1",
            event_id="words",
            ts=now_ms,
            text=WORDS[tenant][2],
            rating=5 if tenant == "acme" else 1,
        )


def titles(answer: Recommendation) -> set[str]:
    return {item.title.split()[0] for item in answer.items}


@pytest.mark.slow
@pytest.mark.timeout(600)  # three roles start twice
def test_two_shops_with_the_same_ids_see_nothing_of_each_other(stack: Stack) -> None:
    trade(stack)
    for tenant in WORDS:
        stack.until(lambda tenant=tenant: stack.ask(tenant).model_version)  # type: ignore[misc]

    # Lists: each shop's own, though ids are the same; the nameless shop has one item and no model.
    for tenant, (word, _, _) in WORDS.items():
        answer = stack.ask(tenant)
        assert (titles(answer), answer.path, answer.user_id) == ({word}, "model", "u1")
        assert {item.item_id for item in answer.items} <= {f"i{n}" for n in range(ITEMS)}
    old = stack.ask("")
    assert (titles(old), old.path, len(old.items)) == ({"old"}, "no_model", 1)

    # Events with the same ids count once in each shop.
    counts = {tenant: stack.known(tenant)["state"]["events"] for tenant in WORDS}
    assert counts == {"acme": 21, "brew": 11}

    # Readings: each review is read in its own shop.
    def read() -> dict[str, dict[str, Any]] | None:
        found = [json.loads(value) for value in stack.values("readings")]
        return {one["tenant"]: one for one in found} if len(found) == len(WORDS) else None

    readings = stack.until(read)
    assert {one["stars"] for one in readings.values()} == {5.0, 1.0}
    assert {(one["user_id"], one["item_id"]) for one in readings.values()} == {("u1", "i1")}

    # What shops read says whose it is, with their own ids.
    for topic in SHOP_TOPICS:
        for value in stack.values(topic):
            assert b"u001f" not in value, topic

    # A tenant that nobody knows is a dead letter, everywhere.
    stack.send("clicks", None, tenant="acne", user_id="u1", item_id="i1", ts=1_700_000_000_000)
    stack.send("items", "acne/i1", tenant="acne", item_id="i1", title="x")
    stack.send("requests", "u1", tenant="acne", request_id="r", user_id="u1")
    stack.send("forget", "u1", tenant="acne", user_id="u1")

    def refused() -> list[str] | None:
        letters = [read_letter(record) for record in stack.records("dead-letters")]
        return [one.message for one in letters] if len(letters) == 4 else None

    for message in stack.until(refused):
        assert "`tenant` must be one of `tenants.names` (acme, brew), got 'acne'" in message

    # A tombstone deletes the item of one shop.
    stack.send("items", item_key("acme", "i0"))
    stack.until(
        lambda: all(item.item_id != "i0" for item in stack.ask("acme", k=ITEMS).items) or None
    )
    assert "i0" in {item.item_id for item in stack.ask("brew", k=ITEMS).items}

    # Both go on after a restart.
    before = {tenant: stack.ask(tenant).model_version or 0 for tenant in WORDS}
    stack.stop()
    stack.start()
    for tenant, (word, _, _) in WORDS.items():
        answer = stack.ask(tenant)
        assert (titles(answer), answer.path) == ({word}, "model")
        assert (answer.model_version or 0) >= before[tenant]

    # Forgetting a user of one shop keeps the user of the other.
    # The command would wait for the broker to delete segments, which takes minutes.
    options = ("--keep-records", "--yes", "--timeout", "10")
    stack.command("forget", "u1", "--tenant", "acme", *options, check=False)

    def erased() -> bool | None:
        known = stack.known("acme")
        return (known["state"], known["features"]) == (None, None) or None

    stack.until(erased)
    kept = stack.known("brew")
    assert kept["state"]["events"] == counts["brew"]
    assert (kept["tenant"], kept["features"]["recent_items"][-1]) == ("brew", "i1")
    assert stack.ask("acme").path == "cold_user"
    assert stack.ask("brew").path == "model"
