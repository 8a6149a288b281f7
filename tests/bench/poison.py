"""Poison: records that nobody can use, and records on which our own code fails.

1. One in a hundred records is poison: rubbish of a producer, or one on which ingest or the profile
   fails (`tests.system.faulty_worker`). All end in the dead letters, byte for byte.
2. A burst in which one in five fails on us: the process must stop by itself before 1,000 more.
3. The fault is mended: a new process, and `tidemill dead-letters replay`. Every event that makes
   sense then counts, once.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from infra.broker import EmbeddedKafka
from infra.dead_letter_replay import Replay
from infra.dead_letters import read_letters
from infra.demo.fates import Place
from infra.demo.reading import read_topic
from infra.lag import lag
from infra.tether import tethered
from infra.topic_admin import create_topics
from stream.batching import Record
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.errors import BadRecord
from stream.events import decode_event, decode_example
from stream.letters import Filter
from stream.outgoing import Outgoing
from stream.parse import parse_event
from stream.publish import PublishConfig, Publisher
from stream.topics import Topics
from tests.hostile import HOSTILE
from tests.system.faulty_worker import INGEST_FAULT, PROFILE_FAULT, ROLE

POISON_EVERY = 100
BURST_EVERY = 5
USERS = 997
BATCH = 2_000
LARGEST_BYTES = 1_048_400
"""Of a value: a broker takes batches of up to 1,048,588 bytes by default."""

LOOK_S = 0.2
WAIT_S = 1_800.0
TOLD = 20

EventKey = tuple[str, str]


class Figures(NamedTuple):
    """What the last line says."""

    records: int
    poison: int
    dead_letters: int
    identical: int
    halted_with: int
    halted_after: int
    said: str
    replayed: int
    missing: int
    double: int
    seconds_poisoned: float
    seconds: float

    @property
    def good(self) -> bool:
        """Whether all promises are kept."""
        return (
            self.dead_letters == self.identical == self.poison
            and self.halted_with == 3  # noqa: PLR2004 - the exit code of the halt
            and self.halted_after < 1_000  # noqa: PLR2004 - "before 1,000 more"
            and "dead-letters replay" in self.said
            and self.missing == self.double == 0
        )


def rubbish(now_ms: int) -> Iterator[bytes | None]:
    """What is refused as a click, over and over; the largest comes first, and once."""
    yield b"x" * LARGEST_BYTES
    found: list[bytes | None] = [None]
    for value in HOSTILE:
        try:
            parse_event("clicks", value, "clicks-0-1", now_ms, now_ms)
        except BadRecord:
            found.append(value)
    yield from itertools.cycle(found)


def clicks(count: int, start: int, now_ms: int, faulty_every: int) -> Iterator[Outgoing]:
    """Draw clicks; with `faulty_every` 0, every hundredth is poison of any kind."""
    broken = rubbish(now_ms)
    for n in range(start, start + count):
        item, value = f"i{n % 500}", None
        if faulty_every:
            if n % faulty_every == 0:
                item = f"{INGEST_FAULT}{n}"
        elif n % POISON_EVERY == POISON_EVERY - 1:
            kind = n // POISON_EVERY % 4
            if kind < 2:  # noqa: PLR2004 - half of the kinds
                yield Outgoing(b"any key", next(broken), [("trace", b"%d" % n)])
                continue
            item = f"{INGEST_FAULT if kind == 2 else PROFILE_FAULT}{n}"  # noqa: PLR2004
        user = f"u{n % USERS}"
        fields: dict[str, object] = {"user_id": user, "item_id": item, "ts": now_ms}
        if n % 2:
            fields["event_id"] = f"e{n}"
        value = msgspec.json.encode(fields)
        yield Outgoing(user.encode(), value, [("trace", b"%d" % n)])


class Course:
    """One run of the three steps on one broker.

    Parameters
    ----------
    kafka
        Where, with topics that are there and empty.
    folder
        For the worker's state and log.
    """

    def __init__(self, kafka: KafkaConfig, folder: Path) -> None:
        self._kafka = kafka
        self._topics = Topics(kafka.topic_prefix)
        self._folder = folder
        self._log = folder / "worker.log"
        self._now_ms = SystemClock().now_ms()
        self._worker: subprocess.Popen[bytes] | None = None

    def run(self, records: int, burst: int) -> Figures:
        """Take all three steps."""
        started_s = time.monotonic()
        try:
            # 1. Poison.
            self._send(clicks(records, 0, self._now_ms, 0))
            self._start("on")
            poisoned_s = time.monotonic()
            self._settle()
            poisoned_s = time.monotonic() - poisoned_s
            letters, identical = self._compare_letters()
            # 2. A burst.
            seen = self._with_a_fate()
            self._send(clicks(burst, records, self._now_ms, BURST_EVERY))
            assert self._worker is not None
            code = self._worker.wait(WAIT_S)
            said = next(line for line in self._log.read_text().splitlines() if "CRITICAL" in line)
            more = self._with_a_fate() - seen
            # 3. Mended.
            self._start("off")
            self._settle()
            done = asyncio.run(
                Replay(self._kafka, Filter(prefix=self._kafka.topic_prefix), SystemClock()).run()
            )
            self._settle()
            self._stop()
        finally:
            self._end()
        missing, double = self._compare_events()
        return Figures(
            records=records,
            poison=records // POISON_EVERY,
            dead_letters=letters,
            identical=identical,
            halted_with=code,
            halted_after=more,
            said=said,
            replayed=done.verdicts["replay"],
            missing=missing,
            double=double,
            seconds_poisoned=round(poisoned_s, 1),
            seconds=round(time.monotonic() - started_s, 1),
        )

    def _send(self, records: Iterator[Outgoing]) -> None:
        async def send() -> None:
            config = PublishConfig(max_record_bytes=LARGEST_BYTES + 1_000)
            publisher = Publisher(self._kafka, config)
            while batch := list(itertools.islice(records, BATCH)):
                await publisher.publish(self._topics.clicks, batch)
            await publisher.stop()

        asyncio.run(send())

    def _start(self, faults: str) -> None:
        kafka = self._kafka
        command = [sys.executable, "-m", "tests.system.faulty_worker", kafka.bootstrap_servers]
        command += [kafka.topic_prefix, str(kafka.partitions), str(self._folder), faults]
        with self._log.open("ab") as log:
            self._worker = subprocess.Popen(
                tethered(command), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def _settle(self) -> None:
        """Wait until everything is read and acknowledged."""
        deadline_s = time.monotonic() + WAIT_S
        left = -1
        while left != 0:
            assert self._worker is not None
            code = self._worker.poll()
            assert code is None, f"the worker ended with {code}, see {self._log}"
            assert time.monotonic() < deadline_s, f"{left} records unread, see {self._log}"
            time.sleep(LOOK_S)
            left = sum(n for (role, _), n in lag(self._kafka).items() if role == ROLE)

    def _stop(self) -> None:
        assert self._worker is not None
        self._worker.terminate()
        assert self._worker.wait(WAIT_S) == 0, f"not stopped cleanly, see {self._log}"

    def _end(self) -> None:
        if self._worker is not None and self._worker.poll() is None:
            self._worker.kill()
            self._worker.wait()

    def _sent(self) -> dict[Place, Record]:
        topics = (self._topics.clicks, self._topics.events)
        return dict(itertools.chain(*(read_topic(self._kafka, topic) for topic in topics)))

    def _compare_letters(self) -> tuple[int, int]:
        """How many dead letters there are, and how many are what was sent, byte for byte."""
        sent, count, identical = self._sent(), 0, set[Place]()
        for filed in read_letters(self._kafka):
            count += 1
            letter = filed.letter
            if letter is None:
                continue
            place = Place(letter.topic, letter.partition, letter.offset)
            record = sent[place]
            same = (record.key, record.value, list(record.headers), record.timestamp)
            if same == (letter.key, letter.value, list(letter.headers), letter.timestamp_ms):
                identical.add(place)
        return count, len(identical)

    def _with_a_fate(self) -> int:
        """How many clicks became an event or a dead letter."""
        places = {
            msgspec.json.decode(record.value or b"")["source"]
            for _, record in read_topic(self._kafka, self._topics.events)
        }
        places |= {
            filed.letter.source
            for filed in read_letters(self._kafka)
            if filed.letter is not None and filed.letter.topic == self._topics.clicks
        }
        return len(places)

    def _compare_events(self) -> tuple[int, int]:
        """How many events that make sense didn't count, and how many counted more than once."""
        wanted = Counter[EventKey]()
        for place, record in read_topic(self._kafka, self._topics.clicks):
            if dict(record.headers).get("tidemill.dlq.source"):
                continue  # a replayed one: its original is in the topic too
            source = f"{place.topic}-{place.partition}-{place.offset}"
            try:
                event = parse_event("clicks", record.value, source, self._now_ms, self._now_ms)
            except BadRecord:
                continue
            wanted[event.user_id, event.event_id] += 1
        assert set(wanted.values()) == {1}
        found, events = Counter[EventKey](), Counter[str]()
        examples = {}
        for _, record in read_topic(self._kafka, self._topics.examples):
            example = decode_example(record.value or b"")
            examples[example.partition, example.offset] = example  # A repeat is the same one.
        for example in examples.values():
            found[example.user_id, example.event_id] += 1
            events[example.user_id] = max(events[example.user_id], example.user_events + 1)
        self._tell(list(wanted - found)[:TOLD])
        per_user = Counter(user for user, _ in wanted.elements())
        double = (found - wanted).total() + (events - per_user).total()
        return (wanted - found).total(), double

    def _tell(self, missing: list[EventKey]) -> None:
        """Say on standard error where missing events can be seen."""
        seen: dict[EventKey, list[str]] = {key: [] for key in missing}
        if not seen:
            return
        for place, record in read_topic(self._kafka, self._topics.events):
            event = decode_event(record.value or b"")
            if (key := (event.user_id, event.event_id)) in seen:
                seen[key].append(f"{place} {event.item_id} {event.source} {event.replayed}")
        for filed in read_letters(self._kafka):
            letter = filed.letter
            if letter is not None and (letter.event_key or ("", "")) in seen:
                seen[letter.event_key or ("", "")].append(f"letter of {letter.source}")
        for key, lines in seen.items():
            print(*key, *lines, sep="\n  ", file=sys.stderr)


def main(arguments: Sequence[str]) -> int:
    """Run it, print the figures, and return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench poison", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="with 1 %% of poison")
    parser.add_argument("--burst", type=int, default=5_000, help="records, one in five fails")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, EmbeddedKafka(Path(name) / "kafka") as broker:
        kafka = KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic_prefix="poison.")
        create_topics(kafka)
        figures = Course(kafka, Path(name)).run(options.records, options.burst)
    found = figures._asdict() | {"good": figures.good}
    lines = [json.dumps(found)] if options.json else [f"{k}: {v}" for k, v in found.items()]
    print("\n".join(lines), flush=True)
    return 0 if figures.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
