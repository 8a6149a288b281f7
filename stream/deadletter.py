"""Dead letters: a refused record, byte for byte, with where it came from and what is wrong.

The headers `__connect.errors.*` are those of Kafka Connect, so that its tools read them; their
values are UTF-8 text. A refused record can be repaired and sent again to its topic.
"""

from __future__ import annotations

from stream.batching import Record
from stream.errors import BadRecord
from stream.outgoing import Outgoing

MAX_VALUE_BYTES = 900_000
"""With its headers, a dead letter must fit a broker's usual 1 MiB, or it stops the flow."""

MAX_KEY_BYTES = 4_096
MAX_HEADER_BYTES = 32_768
"""Of the record's own headers together; those that come after are left out."""


def dead_letter(  # noqa: PLR0917 - a place and a fault have that many parts
    record: Record, topic: str, partition: int, role: str, error: BadRecord, now_ms: int
) -> Outgoing:
    """Wrap a refused record for the topic `dead-letters`.

    Parameters
    ----------
    record
        The record as it was read.
    topic, partition
        Where it was read.
    role
        Who refused it.
    error
        Why.
    now_ms
        When.

    Returns
    -------
    Outgoing
        Key: the source topic, so that a topic's refusals keep their order. Value: the record's
        own, cut to `MAX_VALUE_BYTES` in the rare case that it is longer; the header
        `tidemill.dlq.cut_from` then tells its length. Headers: the record's own, then ours.

    Examples
    --------
    >>> from stream.batching import PlainRecord
    >>> error = BadRecord("rating", 9, "a number from 1 to 5", "out_of_range")
    >>> letter = dead_letter(PlainRecord(b"ann", b"{}", 42), "reviews", 3, "ingest", error, 5)
    >>> letter.key, letter.value
    (b'reviews', b'{}')
    >>> dict(letter.headers)["__connect.errors.exception.message"]
    b'reviews[3]@42: `rating` must be a number from 1 to 5, got 9'
    """
    place = f"{topic}[{partition}]@{record.offset}"
    ours = {
        "__connect.errors.topic": topic,
        "__connect.errors.partition": str(partition),
        "__connect.errors.offset": str(record.offset),
        "__connect.errors.stage": role,
        "__connect.errors.exception.class.name": f"{BadRecord.__module__}.{BadRecord.__name__}",
        "__connect.errors.exception.message": f"{place}: {error}",
        "tidemill.dlq.reason": error.reason,
        "tidemill.dlq.role": role,
        "tidemill.dlq.failed_ms": str(now_ms),
    }
    value = record.value
    if value is not None and len(value) > MAX_VALUE_BYTES:
        ours["tidemill.dlq.cut_from"] = str(len(value))
        value = value[:MAX_VALUE_BYTES]
    headers = _own_headers(record)
    headers += [(name, text.encode("utf-8", "backslashreplace")) for name, text in ours.items()]
    if record.key is not None:
        headers.append(("tidemill.dlq.key", record.key[:MAX_KEY_BYTES]))
    return Outgoing(topic.encode(), value, headers)


def _own_headers(record: Record) -> list[tuple[str, bytes]]:
    kept, left = [], MAX_HEADER_BYTES
    for name, value in record.headers:
        left -= len(name.encode("utf-8", "replace")) + len(value or b"")
        if left < 0:
            break
        kept.append((name, value))
    return kept
