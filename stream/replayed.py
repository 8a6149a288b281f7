"""What a replayed dead letter carries: where it was read first, since when it fails, how often.

A replayed record is the original with three headers more, the last ones. They give the record the
identity that it had at its first place, so that an event without an id of its own counts once
however often it is replayed, and they count the replays, so that a hopeless record ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stream.batching import Record
from stream.outgoing import Header

SOURCE = "tidemill.dlq.source"
FIRST_FAILED_MS = "tidemill.dlq.first_failed_ms"
REPLAY_COUNT = "tidemill.dlq.replay_count"

MAX_REPLAYS = 3
"""Of one record. A fix that needs a fourth try is none; a bot's record must not go round."""

_DIGITS = 19
"""An offset has 63 bits, and so has a time."""


class Mark(NamedTuple):
    """The three headers, read."""

    source: str
    first_failed_ms: int
    replay_count: int

    @property
    def headers(self) -> list[Header]:
        """As they stand at the end of a replayed record's headers."""
        return [
            (SOURCE, self.source.encode()),
            (FIRST_FAILED_MS, str(self.first_failed_ms).encode()),
            (REPLAY_COUNT, str(self.replay_count).encode()),
        ]


def source_name(topic: str, partition: int, offset: int) -> str:
    """Name a place as `Event.source` and the ids made of it do.

    >>> source_name("tidemill.clicks", 0, 17)
    'tidemill.clicks-0-17'
    """
    return f"{topic}-{partition}-{offset}"


def source_of(record: Record, topic: str, partition: int) -> str:
    """Name the place where a record was read first: here, unless it is a replayed one.

    >>> from stream.batching import PlainRecord
    >>> source_of(PlainRecord(None, b"{}", 7), "clicks", 0)
    'clicks-0-7'
    >>> again = PlainRecord(None, b"{}", 99, headers=Mark("clicks-0-7", 5, 0).headers)
    >>> source_of(again, "clicks", 0)
    'clicks-0-7'
    """
    if record.headers:
        _, mark = unmark(record.headers, topic)
        if mark is not None:
            return mark.source
    return source_name(topic, partition, record.offset)


def unmark(headers: Sequence[Header], topic: str) -> tuple[Sequence[Header], Mark | None]:
    """Part a record's own headers from the mark of a replay; the topic must be the same one.

    >>> unmark([("trace", b"x"), *Mark("clicks-0-7", 5, 1).headers], "clicks")
    ([('trace', b'x')], Mark(source='clicks-0-7', first_failed_ms=5, replay_count=1))
    >>> unmark(Mark("clicks-0-7", 5, 1).headers, "reviews")[1] is None
    True
    """
    last = headers[-3:]
    if [name for name, _ in last] != [SOURCE, FIRST_FAILED_MS, REPLAY_COUNT]:
        return headers, None
    source, first_ms, count = (value or b"" for _, value in last)
    place, _, offset = source.rpartition(b"-")
    name, _, partition = place.rpartition(b"-")
    numbers = (partition, offset, first_ms, count)
    if name != topic.encode() or not all(_is_number(number) for number in numbers):
        return headers, None
    return headers[:-3], Mark(source.decode(), int(first_ms), int(count))


def _is_number(text: bytes) -> bool:
    plain = text == b"0" or not text.startswith(b"0")
    return plain and text.isdigit() and len(text) <= _DIGITS
