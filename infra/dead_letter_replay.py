"""Replay of dead letters: refused records go to their topics again, as they were, after a fix.

A replay goes in five steps; a crash between any two is repaired by the same replay again.

1. All letters up to the end as it is now are read: which is the newest of each record?
2. The letters are read again, and each is decided on.
3. `events` is read: whose event was accepted meanwhile? For letters of `events` itself, `examples`
   is: whose event was applied?
4. What may go is sent to its topic, in the letters' order, and acknowledged by all replicas.
5. What is refused again comes back as a new letter, with its count one higher.

Letters are read three times and never held: there may be more of them than memory.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

from rich.console import Console

from infra.dead_letters import read_letters
from infra.demo.reading import end_offsets, read_topic
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.deadletter import MAX_LETTER_BYTES
from stream.letters import (
    Filter,
    Letter,
    Verdict,
    accepted_event,
    applied_event,
    put_back,
    replayable_topic,
    verdict,
)
from stream.outgoing import Outgoing, RecordTooLarge
from stream.publish import PublishConfig, Publisher
from stream.replayed import MAX_REPLAYS
from stream.topics import REPLAYABLE, Topics

BATCH = 500
"""Records sent together and waited for: the longest piece that a stopped replay repeats."""


LEFT: dict[Verdict, str] = {
    "older": "a newer letter tells of the same record",
    "accepted": "the event counts already",
    "exhausted": f"refused again after {MAX_REPLAYS} replays",
    "cut": "too large to be kept whole, or to be sent again; send the original from its source",
    "internal": "of a topic that Tidemill writes itself",
    "compacted": "of a topic that keeps the newest record per key; name it with --topic",
    "no_topic": "their topic is not on this broker",
}

_Events = dict[tuple[str, str] | None, list[str]]

Identify = Callable[[bytes | None], tuple[str, tuple[str, str]] | None]
"""Reads from a record where its event was read first, and its user and id."""


@dataclass
class Replayed:
    """What a replay did, or would do; every letter read is counted once."""

    letters: int = 0
    unreadable: int = 0
    others: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    by_topic: Counter[str] = field(default_factory=Counter)
    dry_run: bool = False
    stopped: bool = False
    seconds: float = 0.0

    def lines(self) -> Iterator[str]:
        """As sentences."""
        verb = "would send" if self.dry_run else "sent"
        sent = ", ".join(f"{count:,} {topic}" for topic, count in sorted(self.by_topic.items()))
        yield f"{verb} {sent or 'nothing'}, of {self.letters:,} letters"
        for what, words in LEFT.items():
            if count := self.verdicts[what]:
                yield f"left {count:,}: {words}"
        if self.others:
            yield f"left {self.others:,}: not asked for"
        if self.unreadable:
            yield f"left {self.unreadable:,}: no dead letters that this version can read"

    def figures(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "letters": self.letters,
            "replayed": self.verdicts["replay"],
            **{name: self.verdicts[name] for name in get_args(Verdict) if name != "replay"},
            "filtered_out": self.others,
            "unreadable": self.unreadable,
            "by_topic": dict(sorted(self.by_topic.items())),
            "dry_run": self.dry_run,
            "stopped": self.stopped,
            "seconds": round(self.seconds, 3),
        }


Report = Callable[[str, int], None]
"""Told now and then: what is done, and how many times."""


class Replay:
    """One replay, from the end offsets at its beginning to its figures.

    Parameters
    ----------
    kafka
        The broker and the topics' prefix.
    wanted
        Which letters.
    clock
        The time of day.
    dry_run
        Decide, but send nothing.
    limit
        Send only so many records.
    report
        Told of the progress.
    stop
        Asked after every batch; true ends the replay there.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        wanted: Filter,
        clock: Clock,
        *,
        dry_run: bool = False,
        limit: int | None = None,
        report: Report = lambda *_: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._kafka = kafka
        self._topics = Topics(kafka.topic_prefix)
        self._wanted = wanted
        self._clock = clock
        self._limit = limit
        self._report = report
        self._stop = stop
        self._ends: dict[int, int] = {}
        self._newest: dict[str, tuple[tuple[int, int], int, int]] = {}
        self._chosen: dict[tuple[int, int], str] = {}
        self.done = Replayed(dry_run=dry_run)

    async def run(self) -> Replayed:
        """Take all the steps."""
        started_s = time.monotonic()
        self._find_newest()
        names = [f"{self._kafka.topic_prefix}{name}" for name in REPLAYABLE]
        partitions = Counter(topic for topic, _ in end_offsets(self._kafka, names))
        accepted, applied = self._decide(partitions)
        self._pass_over(accepted, self._topics.events, accepted_event)
        self._pass_over(applied, self._topics.examples, applied_event)
        config = PublishConfig(max_record_bytes=MAX_LETTER_BYTES)  # The topic's own limit decides.
        publisher = Publisher(self._kafka, config, role="dead-letters")
        try:
            await self._send_chosen(publisher, partitions)
        finally:
            await publisher.stop()
        self.done.seconds = time.monotonic() - started_s
        return self.done

    def _find_newest(self) -> None:
        """Step 1."""
        for partition, offset, letter in read_letters(self._kafka):
            self._ends[partition] = offset
            self.done.letters += 1
            if self.done.letters % BATCH == 0:
                self._read("letters read", self.done.letters)
            if letter is None:
                self.done.unreadable += 1
                continue
            found = (letter.age_key, partition, offset)
            self._newest[letter.source] = max(found, self._newest.get(letter.source, found))

    def _read_again(self) -> Iterator[tuple[tuple[int, int], Letter]]:
        """The letters of step 1 that can be read; not those that came since."""
        for partition, offset, letter in read_letters(self._kafka):
            if letter is not None and offset <= self._ends.get(partition, -1):
                yield (partition, offset), letter

    def _decide(self, partitions: Counter[str]) -> tuple[_Events, _Events]:
        """Step 2; returns the events to look for, with the sources of their letters.

        First those that `events` may hold, then those that `examples` may.
        """
        accepted: _Events = {}
        applied: _Events = {}
        for place, letter in self._read_again():
            newest = self._newest[letter.source][1:] == place
            if not self._wanted.takes(letter):
                self.done.others += 1
                continue
            what = verdict(letter, self._wanted, partitions, newest=newest)
            if what != "replay":
                self.done.verdicts[what] += 1
                continue
            self._chosen[place] = letter.source
            if letter.topic in self._topics.raw_events:
                accepted.setdefault(letter.event_key, []).append(letter.source)
            elif letter.topic == self._topics.events:
                applied.setdefault(letter.event_key, []).append(letter.source)
        return accepted, applied

    def _pass_over(self, events: _Events, topic: str, read: Identify) -> None:
        """Step 3, for one topic."""
        if not events:
            return
        sources, accepted = set(self._chosen.values()), set[str]()
        for count, (_, record) in enumerate(read_topic(self._kafka, topic), 1):
            if (found := read(record.value)) is None:
                continue
            source, key = found
            if source in sources:
                accepted.add(source)
            accepted.update(events.get(key, ()))
            if count % BATCH == 0:
                self._read(f"read of {topic}", count)
        kept = {place: source for place, source in self._chosen.items() if source not in accepted}
        self.done.verdicts["accepted"] += len(self._chosen) - len(kept)
        self._chosen = kept

    def _read(self, what: str, count: int) -> None:
        self._report(what, count)
        if self._stop():  # Nothing is sent yet.
            raise KeyboardInterrupt

    async def _send_chosen(self, publisher: Publisher, partitions: Counter[str]) -> None:
        """Step 4."""
        batch: list[tuple[str, Outgoing]] = []
        left = len(self._chosen) if self._limit is None else self._limit
        for place, letter in self._read_again():
            if place not in self._chosen:
                continue
            if left <= 0:
                self.done.others += 1
                continue
            left -= 1
            spec = replayable_topic(letter.topic, self._kafka.topic_prefix)
            assert spec is not None
            record = put_back(letter, spec, partitions[letter.topic], self._clock.now_ms())
            batch.append((letter.topic, record))
            if len(batch) >= BATCH:
                await self._send(publisher, batch)
                if self._stop():
                    self.done.stopped = True
                    return
        await self._send(publisher, batch)

    async def _send(self, publisher: Publisher, batch: list[tuple[str, Outgoing]]) -> None:
        by_topic: dict[str, list[Outgoing]] = {}
        for topic, record in batch:
            by_topic.setdefault(topic, []).append(record)
        for topic, records in by_topic.items():
            while not self.done.dry_run:
                try:
                    await publisher.publish(topic, records)
                    break
                except RecordTooLarge as error:  # It was as large as can be, without our mark.
                    del records[error.index]
                    self.done.verdicts["cut"] += 1
            self.done.verdicts["replay"] += len(records)
            self.done.by_topic[topic] += len(records)
        batch.clear()
        self._report("sent", self.done.verdicts["replay"])


@contextmanager
def progress_line() -> Iterator[Report]:
    """Show on stderr what is being done while the block runs, where a person looks on."""
    console = Console(stderr=True)
    with console.status("reads the dead letters") as status:
        yield lambda what, count: status.update(f"{what}: {count:,}")
