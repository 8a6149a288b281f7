"""The micro-batch: what an agent receives instead of single messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Record(Protocol):
    """One Kafka record, as every client library presents it (aiokafka's `ConsumerRecord` too)."""

    @property
    def key(self) -> bytes | None:
        """The key's bytes."""

    @property
    def value(self) -> bytes | None:
        """The value's bytes; `None` is a tombstone."""

    @property
    def offset(self) -> int:
        """The place in the partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch, as the producer or the broker set them."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """The record's headers."""


class PlainRecord(NamedTuple):
    """A record made by hand, for tests and replays."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes | None]] = ()


class Run(NamedTuple):
    """The records that one fetch brought from one partition, in offset order, never empty.

    A run is the unit of work and of acknowledgement: its offsets count as done together.
    """

    topic: str
    partition: int
    records: Sequence[Record]

    @property
    def last_offset(self) -> int:
        """The offset of the newest record; the run is done when everything up to it is."""
        return self.records[-1].offset
