"""Whole topics as plain records: all that a verdict is based on.

Only committed records are read, as a shop's own consumers would see them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from infra.demo.reading import read_topic
from stream.connect import KafkaConfig
from stream.outgoing import Header
from stream.topics import Topics


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
    return in_order(
        Logged(
            *placed.place,
            placed.record.key,
            placed.record.value,
            placed.record.timestamp,
            tuple(placed.record.headers),
        )
        for placed in read_topic(kafka, topic)
    )


def in_order(records: Iterable[Logged]) -> Log:
    """Sort records by partition and offset.

    >>> first, second = (Logged("t", 0, offset, None, None, 0) for offset in (1, 2))
    >>> in_order([second, first]) == (first, second)
    True
    """
    return tuple(sorted(records, key=lambda record: (record.partition, record.offset)))
