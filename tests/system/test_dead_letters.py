"""Refused records wait whole in the dead letters, and come back once when the fault is mended."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from infra.cli import cli
from infra.dead_letters import read_letters
from infra.demo.fates import Place
from infra.demo.reading import end_offsets, read_topic
from stream.batching import Record
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.events import decode_event
from stream.letters import Letter
from stream.outgoing import Header, Outgoing
from stream.publish import Publisher
from stream.replayed import MAX_REPLAYS
from stream.topics import Topics
from tests.conftest import Spawn

WAIT_S = 120
LATE_S = 3 * 86_400
"""The fault: an ingest whose clock is late takes what happens now for the future."""

SOUND, HOPELESS = 20, 5

HEADERS: list[Header] = [
    ("trace", b"\xff\x00"),
    ("trace", None),
    ("tidemill.dlq.schema", b"1"),
    ("tidemill.dlq.replay_count", b"2"),
    ("__connect.errors.topic", b"elsewhere"),
]


def poison(now_ms: int) -> list[Outgoing]:
    sound = [
        json.dumps(
            {"user_id": f"u{n % 3}", "item_id": "tea", "ts": now_ms - n}
            | ({"event_id": f"e{n}"} if n % 2 else {})
        ).encode()
        for n in range(SOUND)
    ]
    hopeless: list[bytes | None] = [b"\xff\xfe", b"", None, b"[" * 5_000, b'{"user_id": "u1"}']
    return [
        Outgoing(
            [None, b"", b"\x00key", b"u1"][n % 4],
            value,
            HEADERS[: n % 6],
            timestamp_ms=now_ms - 1_000 * n,
        )
        for n, value in enumerate([*sound, *hopeless])
    ]


def send(kafka: KafkaConfig, topic: str, records: list[Outgoing]) -> None:
    async def publish() -> None:
        publisher = Publisher(kafka)
        await publisher.publish(topic, records)
        await publisher.stop()

    asyncio.run(publish())


class Shop:
    """The broker, a worker, and the command, as an operator has them."""

    def __init__(self, kafka: KafkaConfig, folder: Path, spawn: Spawn) -> None:
        self.kafka = kafka
        self.topics = Topics(kafka.topic_prefix)
        self._folder = folder
        self._spawn = spawn

    def worker(self, late_s: int) -> subprocess.Popen[bytes]:
        where = (self.kafka.bootstrap_servers, self.kafka.topic_prefix, str(self._folder))
        self._at_work = self._spawn("tests.system.ingest_worker", *where, "0", str(late_s))
        return self._at_work

    def command(self, *arguments: str) -> str:
        where = ["--bootstrap-servers", self.kafka.bootstrap_servers]
        where += ["--prefix", self.kafka.topic_prefix]
        said = CliRunner().invoke(cli, ["dead-letters", *arguments, *where])
        assert said.exit_code == 0, said.output
        return said.stdout

    def replay(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.command("replay", "--json", *arguments).splitlines()[-1]
        )
        return found

    def letters(self) -> list[Letter]:
        return [filed.letter for filed in read_letters(self.kafka) if filed.letter is not None]

    def wait_for_letters(self, count: int) -> list[Letter]:
        deadline_s = time.monotonic() + WAIT_S
        while len(found := self.letters()) < count:
            assert time.monotonic() < deadline_s, (len(found), count)
            assert self._at_work.poll() is None, "the worker died, see its log"
        assert len(found) == count
        return found

    def records(self, topic: str) -> dict[Place, Record]:
        return {place: record for place, record in read_topic(self.kafka, topic)}

    def accepted(self) -> Counter[tuple[str, str]]:
        values = [record.value or b"" for record in self.records(self.topics.events).values()]
        return Counter((event.user_id, event.event_id) for event in map(decode_event, values))


@pytest.fixture
def shop(kafka_config: KafkaConfig, tmp_path: Path, spawn: Spawn) -> Shop:
    return Shop(kafka_config, tmp_path, spawn)


def test_what_is_refused_by_a_fault_is_accepted_once_after_the_fix(shop: Shop) -> None:
    clicks = shop.topics.clicks
    send(shop.kafka, clicks, poison(SystemClock().now_ms()))
    sent = shop.records(clicks)
    faulty = shop.worker(LATE_S)
    letters = shop.wait_for_letters(SOUND + HOPELESS)
    faulty.terminate()
    assert faulty.wait(WAIT_S) == 0

    # Each letter is the record that was sent.
    for letter in letters:
        record = sent.pop(Place(letter.topic, letter.partition, letter.offset))
        assert (letter.key, letter.value) == (record.key, record.value)
        assert (letter.timestamp_ms, letter.headers) == (record.timestamp, list(record.headers))
    assert not sent
    names = {f"{x.topic}-{x.partition}-{x.offset}" for x in letters if x.reason == "bad_timestamp"}
    assert len(names) == SOUND

    # Nothing is sent by a dry run, nor by one that asks for something else.
    ends = end_offsets(shop.kafka, [clicks])
    assert shop.replay("--dry-run")["replayed"] == SOUND + HOPELESS
    assert shop.replay("--reason", "failed") | {"seconds": 0} == {
        "letters": SOUND + HOPELESS,
        "replayed": 0,
        "older": 0,
        "internal": 0,
        "cut": 0,
        "exhausted": 0,
        "accepted": 0,
        "compacted": 0,
        "no_topic": 0,
        "filtered_out": SOUND + HOPELESS,
        "unreadable": 0,
        "by_topic": {},
        "dry_run": False,
        "stopped": False,
        "seconds": 0,
    }
    assert end_offsets(shop.kafka, [clicks]) == ends

    # After the fix, all that is sound is accepted under its first name; the rest comes back.
    shop.worker(0)
    assert shop.replay()["by_topic"] == {clicks: SOUND + HOPELESS}
    shop.wait_for_letters(SOUND + 2 * HOPELESS)
    accepted = shop.accepted()
    assert set(accepted.values()) == {1}
    ids = {event_id for _, event_id in accepted}
    assert ids == {f"e{n}" for n in range(1, SOUND, 2)} | (ids & names)
    assert len(ids) == SOUND

    # Again and again: nothing double, and what is hopeless ends.
    for replays in range(2, MAX_REPLAYS + 1):
        done = shop.replay()
        assert (done["replayed"], done["accepted"]) == (HOPELESS, SOUND)
        shop.wait_for_letters(SOUND + (replays + 1) * HOPELESS)
    done = shop.replay()
    assert (done["replayed"], done["exhausted"], done["accepted"]) == (0, HOPELESS, SOUND)
    assert done["older"] == MAX_REPLAYS * HOPELESS
    assert shop.accepted() == accepted
    counts = Counter(letter.replay_count for letter in shop.letters())
    assert counts == {0: SOUND + HOPELESS, 1: HOPELESS, 2: HOPELESS, 3: HOPELESS}


def test_letters_are_listed_without_personal_data_and_shown_on_request(shop: Shop) -> None:
    value = b'{"user_id": "ann@example.org", "item_id": "tea", "ts": "\x1b[2Jnever"}'
    assert "holds no such letter" in shop.command("list")
    send(shop.kafka, shop.topics.reviews, [Outgoing(b"ann@example.org", value, HEADERS)])
    send(shop.kafka, shop.topics.clicks, [Outgoing(None, None, partition=2)])
    shop.worker(0)
    shop.wait_for_letters(2)

    listed = shop.command("list", "--json")
    assert json.loads(listed.splitlines()[-1])["by_topic"] == {
        shop.topics.clicks: 1,
        shop.topics.reviews: 1,
    }
    assert "ann" not in listed
    assert "\x1b" not in shop.command("list", "--details")
    of_ann = shop.command("list", "--user", "ann@example.org", "--json", "--since", "1h")
    assert json.loads(of_ann.splitlines()[-1])["letters"] == 1

    place = next(filed for filed in read_letters(shop.kafka) if filed.letter and filed.letter.value)
    shown = shop.command("show", str(place.partition), str(place.offset))
    assert "__connect.errors.stage: ingest" in shown
    assert "header trace: \\xff\\x00\nheader trace: null\n" in shown
    assert "key: ann@example.org" in shown
    assert "\x1b" not in shown
    where = ["--bootstrap-servers", shop.kafka.bootstrap_servers]
    where += ["--prefix", shop.kafka.topic_prefix]
    nobody = CliRunner().invoke(cli, ["dead-letters", "show", "0", "4711", *where])
    assert "no letter at 4711" in str(nobody.exception)
