"""A record on its way out, and what the agents need of whoever publishes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from stream.errors import BadRecord

RECORD_OVERHEAD_BYTES = 64
"""What a record adds to its key and value at most, headers apart: lengths, offset, timestamp."""


Header = tuple[str, bytes | None]
"""Kafka allows a header without a value."""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to publish; without a partition its key decides, as in Java clients."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[Header] = ()
    partition: int | None = None
    timestamp_ms: int | None = None

    @property
    def size(self) -> int:
        """Bytes that the record takes in a batch, about."""
        size = len(self.key or b"") + len(self.value or b"") + RECORD_OVERHEAD_BYTES
        return size + sum(len(name) + len(value or b"") + 8 for name, value in self.headers)


class RecordTooLarge(BadRecord):
    """One of the records doesn't fit the broker: send it to the dead letters, repeat the rest.

    `record` is the culprit, `index` its place in the call.
    """

    def __init__(self, topic: str, record: Outgoing, index: int, limit: int) -> None:
        self.record = record
        self.index = index
        super().__init__(
            "value",
            f"{record.size} bytes with key {record.key!r} for {topic}",
            f"at most {limit} bytes with its key and headers",
            "too_large",
        )


class Publishes(Protocol):
    """What the agents need of `stream.publish.Publisher`."""

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Send records and return when all are acked.

        Raises
        ------
        stream.errors.Unavailable
            If the broker does not take them; the same call may be repeated.
        RecordTooLarge
            If one of them is larger than the broker takes; nothing was sent then.
        """
