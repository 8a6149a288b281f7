"""Whole topics, read once from the first to the newest record, without a consumer group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from infra.demo.fates import Place
from stream.access import refusal
from stream.batching import Record
from stream.connect import KafkaConfig
from stream.errors import Unavailable

POLL_MS = 500
"""One wait for records. Longer only delays the check whether the end is reached."""

IDLE_POLLS = 60
"""Empty polls in a row, half a minute, after which the broker counts as away."""


class Placed(NamedTuple):
    """A record, and where it lies."""

    place: Place
    record: Record


def open_reader(kafka: KafkaConfig) -> KafkaConsumer:
    """A consumer that belongs to no group and commits nothing; it sees what is committed.

    Raises
    ------
    Unavailable
        If no broker answers.
    Halt
        If it refuses our login.
    """
    try:
        return KafkaConsumer(
            **kafka.client_settings(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
        )
    except KafkaError as error:
        msg = (
            f"no Kafka broker answers at {kafka.bootstrap_servers} ({error}): is it running, and "
            "is the address right (--bootstrap-servers HOST:PORT)?"
        )
        raise refusal(error, kafka) or Unavailable(msg) from error


def partitions_of(consumer: KafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    """The partitions of the topics that exist."""
    found = []
    for topic in topics:
        for partition in sorted(consumer.partitions_for_topic(topic) or ()):
            found.append(TopicPartition(topic, partition))
    return found


def end_offsets(kafka: KafkaConfig, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """The offset after the newest record, by topic and partition."""
    consumer = open_reader(kafka)
    try:
        ends: Mapping[TopicPartition, int] = consumer.end_offsets(partitions_of(consumer, topics))
        return {(place.topic, place.partition): end for place, end in ends.items()}
    finally:
        consumer.close()


def read_topic(kafka: KafkaConfig, topic: str) -> Iterator[Placed]:
    """Every record that the topic holds now, in offset order along each partition.

    Raises
    ------
    Unavailable
        If the broker stops answering before the end is reached.
    """
    consumer = open_reader(kafka)
    try:
        open_ends = consumer.end_offsets(partitions_of(consumer, [topic]))
        consumer.assign(list(open_ends))
        if open_ends:
            consumer.seek_to_beginning(*open_ends)
        idle = 0
        while open_ends := {
            place: end for place, end in open_ends.items() if consumer.position(place) < end
        }:
            fetched = consumer.poll(timeout_ms=POLL_MS)
            idle = 0 if fetched else idle + 1
            if idle > IDLE_POLLS:
                msg = f"the broker sends nothing more of {topic}; {len(open_ends)} partitions open"
                raise Unavailable(msg)
            for place, records in fetched.items():
                end = open_ends.get(place, 0)
                for record in records:
                    if record.offset < end:
                        yield Placed(Place(place.topic, place.partition, record.offset), record)
    finally:
        consumer.close()
