"""Reviews whose label would teach most: what the reader doubts, as a person may look at it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

import msgspec
from kafka import TopicPartition

from infra.demo.reading import POLL_MS, open_reader, read_topic
from stream.connect import KafkaConfig
from stream.events import Event, Reading, decode_event, decode_reading
from stream.topics import Topics

GONE_POLLS = 20
"""Empty polls in a row after which an event is taken to be gone: its topic keeps it for 7 days."""


class Doubted(msgspec.Struct, frozen=True, kw_only=True):
    """A review, and what the reader made of it; the text is empty where the event is gone."""

    event_id: str
    item_id: str
    doubt: float
    rating: float
    sentiment: str
    stars: float | None
    text: str
    tenant: str = ""


def most_doubted(readings: Iterable[Reading], newest: int, rated: bool) -> list[Reading]:
    """The most doubted, each review by its newest reading; those with stars only on demand.

    Examples
    --------
    >>> def reading(name, doubt, stars=None):
    ...     return Reading(event_id=name, user_id="u", item_id="i", ts_ms=0, received_ms=0,
    ...         partition=0, offset=0, rating=3.0, sentiment="neutral", doubt=doubt, stars=stars)
    >>> given = [reading("a", 0.1), reading("b", 0.9), reading("c", 0.5, stars=4.0),
    ...          reading("a", 0.7)]
    >>> [one.event_id for one in most_doubted(given, 2, rated=False)]
    ['b', 'a']
    >>> [one.event_id for one in most_doubted(given, 5, rated=True)]
    ['b', 'a', 'c']
    """
    last = {(one.tenant, one.user_id, one.event_id): one for one in readings}
    wanted = (one for one in last.values() if rated or one.stars is None)
    return heapq.nlargest(newest, wanted, key=lambda one: (one.doubt, one.event_id))


def doubted(kafka: KafkaConfig, newest: int, rated: bool) -> list[Doubted]:
    """Read `readings`, and the texts of the most doubted from `events`.

    Raises
    ------
    Unavailable
        If the broker stops answering.
    """
    topics = Topics(kafka.topic_prefix)
    found = most_doubted(
        (decode_reading(record.value or b"") for _, record in read_topic(kafka, topics.readings)),
        newest,
        rated,
    )
    events = _events_of(kafka, found)
    return [_doubted(one, events.get((one.partition, one.offset))) for one in found]


def _doubted(reading: Reading, event: Event | None) -> Doubted:
    words = (event.title, event.text) if event is not None else ()
    return Doubted(
        event_id=reading.event_id,
        item_id=reading.item_id,
        doubt=reading.doubt,
        rating=reading.rating,
        sentiment=reading.sentiment,
        stars=reading.stars,
        text=" · ".join(part for part in words if part),
        tenant=reading.tenant or "",
    )


def _events_of(kafka: KafkaConfig, readings: Iterable[Reading]) -> Mapping[tuple[int, int], Event]:
    """By their places, the events that were read, of those that are still there."""
    topic = Topics(kafka.topic_prefix).events
    found: dict[tuple[int, int], Event] = {}
    consumer = open_reader(kafka)
    try:
        for reading in readings:
            partition = TopicPartition(topic, reading.partition)
            consumer.assign([partition])
            first = consumer.beginning_offsets([partition])[partition]
            if not first <= reading.offset < consumer.end_offsets([partition])[partition]:
                continue
            consumer.seek(partition, reading.offset)
            for _ in range(GONE_POLLS):
                fetched = consumer.poll(timeout_ms=POLL_MS, max_records=1).get(partition, ())
                if fetched:
                    if fetched[0].offset == reading.offset:
                        found[partition.partition, reading.offset] = decode_event(fetched[0].value)
                    break
    finally:
        consumer.close()
    return found
