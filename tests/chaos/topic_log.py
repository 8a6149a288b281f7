"""Whole topics as plain records: all that a verdict is based on.

Only committed records are read, as a shop's own consumers would see them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from kafka import KafkaConsumer, TopicPartition

from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.outgoing import Header
from stream.topics import Topics

POLL_MS = 500
IDLE_POLLS = 60
"""Empty polls in a row, half a minute, after which the broker counts as away."""


class Logged(NamedTuple):
    """A record as it lies in its topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: tuple[Header, ...] = ()

    @property
    def name(self) -> str:
        """Its place, as `Event.source` spells it."""
        return f"{self.topic}-{self.partition}-{self.offset}"


Log = tuple[Logged, ...]
"""One topic, in offset order along each partition."""


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    """Every topic that a verdict reads; `changelog` is that of the profile's table."""

    clicks: Log = ()
    purchases: Log = ()
    reviews: Log = ()
    events: Log = ()
    examples: Log = ()
    dead_letters: Log = ()
    requests: Log = ()
    recommendations: Log = ()
    changelog: Log = ()
    item_vectors: Log = ()


def changelog_topic(prefix: str) -> str:
    """The topic to which Faust writes what changes in the table of profiles."""
    return f"{prefix}ingest-profile-profiles-changelog"


def read_logs(kafka: KafkaConfig) -> Logs:
    """Read everything that lies in the topics now."""
    topics = Topics(kafka.topic_prefix)
    return Logs(
        clicks=read_log(kafka, topics.clicks),
        purchases=read_log(kafka, topics.purchases),
        reviews=read_log(kafka, topics.reviews),
        events=read_log(kafka, topics.events),
        examples=read_log(kafka, topics.examples),
        dead_letters=read_log(kafka, topics.dead_letters),
        requests=read_log(kafka, topics.requests),
        recommendations=read_log(kafka, topics.recommendations),
        changelog=read_log(kafka, changelog_topic(kafka.topic_prefix)),
        item_vectors=read_log(kafka, topics.item_vectors),
    )


def read_log(kafka: KafkaConfig, topic: str) -> Log:
    """Read one topic from its first record to its end as of now; empty where there is none.

    Raises
    ------
    Unavailable
        If the broker stops answering before the end is reached.
    """
    consumer = KafkaConsumer(
        **kafka.client_settings(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    try:
        places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
        return in_order(_records(consumer, places)) if places else ()
    finally:
        consumer.close()


def in_order(records: Iterable[Logged]) -> Log:
    """Sort records by partition and offset.

    >>> first, second = (Logged("t", 0, offset, None, None, 0) for offset in (1, 2))
    >>> in_order([second, first]) == (first, second)
    True
    """
    return tuple(sorted(records, key=lambda record: (record.partition, record.offset)))


def _records(consumer: KafkaConsumer, places: list[TopicPartition]) -> Iterator[Logged]:
    ends = consumer.end_offsets(places)  # where a transaction is open, its first offset
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    idle = 0
    while any(consumer.position(place) < end for place, end in ends.items()):
        fetched = consumer.poll(timeout_ms=POLL_MS)
        idle = 0 if fetched else idle + 1
        if idle > IDLE_POLLS:
            left = {str(p): (consumer.position(p), end) for p, end in ends.items()}
            msg = f"the broker sends nothing more of {places[0].topic}; read and end: {left}"
            raise Unavailable(msg)
        for place, records in fetched.items():
            for record in records:
                if record.offset < ends[place]:
                    yield Logged(
                        place.topic,
                        place.partition,
                        record.offset,
                        record.key,
                        record.value,
                        record.timestamp,
                        tuple(record.headers),
                    )
