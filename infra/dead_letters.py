"""The topic `dead-letters` as a person looks at it: what there is, and one letter whole."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kafka import TopicPartition

from infra.demo.reading import IDLE_POLLS, POLL_MS, open_reader, read_topic
from stream.batching import Record
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Halt, Unavailable
from stream.letters import (
    Filter,
    Letter,
    read_letter,
)
from stream.topics import Topics


class Filed(NamedTuple):
    """A letter, and where it lies on `dead-letters`; none where it can't be read."""

    partition: int
    offset: int
    letter: Letter | None


def read_letters(kafka: KafkaConfig) -> Iterator[Filed]:
    """Every dead letter that there is now, in the order of each partition."""
    for (_, partition, offset), record in read_topic(
        kafka, Topics(kafka.topic_prefix).dead_letters
    ):
        try:
            yield Filed(partition, offset, read_letter(record))
        except BadRecord:
            yield Filed(partition, offset, None)


def find_record(kafka: KafkaConfig, partition: int, offset: int) -> Record:
    """One record of `dead-letters`.

    Raises
    ------
    Halt
        If there is none at this place.
    """
    topic = Topics(kafka.topic_prefix).dead_letters
    place = TopicPartition(topic, partition)
    consumer = open_reader(kafka)
    try:
        if partition not in (consumer.partitions_for_topic(topic) or ()):
            msg = f"{topic} has no partition {partition}; see `tidemill dead-letters list`"
            raise Halt(msg)
        consumer.assign([place])
        first = consumer.beginning_offsets([place])[place]
        end = consumer.end_offsets([place])[place]
        if not first <= offset < end:
            held = f"holds offsets {first} to {end - 1}" if first < end else "is empty"
            msg = f"{topic}[{partition}] {held}, so there is no letter at {offset}"
            raise Halt(msg)
        consumer.seek(place, offset)
        for _ in range(IDLE_POLLS):
            for record in consumer.poll(timeout_ms=POLL_MS).get(place, ()):
                if record.offset == offset:
                    found: Record = record
                    return found
                msg = f"{topic}[{partition}] has no letter at {offset}; next is {record.offset}"
                raise Halt(msg)
    finally:
        consumer.close()
    msg = f"the broker sends nothing of {topic}[{partition}]@{offset}"
    raise Unavailable(msg)


@dataclass
class Listing:
    """Letters by topic, reason and role, with the time of the newest; and the newest of all."""

    counts: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    newest: list[tuple[int, int, Letter]] = field(default_factory=list)
    unreadable: int = 0

    def figures(self) -> dict[str, Any]:
        """As one JSON object."""
        totals: dict[str, Counter[str]] = {"topic": Counter(), "reason": Counter()}
        for (topic, reason, _), (count, _) in sorted(self.counts.items()):
            totals["topic"][topic] += count
            totals["reason"][reason] += count
        return {
            "letters": totals["topic"].total(),
            "by_topic": totals["topic"],
            "by_reason": totals["reason"],
            "unreadable": self.unreadable,
        }


def listing(kafka: KafkaConfig, wanted: Filter, newest: int) -> Listing:
    """Count the letters that are wanted, and keep the newest of them."""
    found = Listing()
    heap: list[tuple[int, int, int, Letter]] = []
    for partition, offset, letter in read_letters(kafka):
        if letter is None:
            found.unreadable += 1
        elif wanted.takes(letter):
            group = (letter.topic, letter.reason, letter.role)
            count, last_ms = found.counts.get(group, (0, 0))
            found.counts[group] = (count + 1, max(last_ms, letter.last_failed_ms))
            heapq.heappush(heap, (letter.last_failed_ms, partition, offset, letter))
            if len(heap) > newest:
                heapq.heappop(heap)
    found.newest = [(partition, offset, letter) for _, partition, offset, letter in sorted(heap)]
    return found
