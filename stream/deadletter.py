"""Dead letters: a refused record, byte for byte, with where it came from and what is wrong.

The headers `__connect.errors.*` are those of Kafka Connect, so that its tools read them; ours are
`tidemill.dlq.*`. All their values are UTF-8 text, the key's apart. `stream.letters` reads a letter
back.

```
the record's own headers │ tidemill.dlq.schema, ours, Connect's
                          └ the last one of this name is the border, whatever a producer sent
```
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from stream.batching import Record
from stream.errors import BadRecord, Reason
from stream.outgoing import Header, Outgoing
from stream.replayed import (
    FIRST_FAILED_MS,
    MAX_REPLAYS,
    REPLAY_COUNT,
    SOURCE,
    Mark,
    source_name,
    unmark,
)
from stream.topics import is_replayable

SCHEMA = "tidemill.dlq.schema"
SCHEMA_VERSION = "1"
"""Of the letter's headers. A reader refuses one that it doesn't know."""

MAX_VALUE_BYTES = 900_000
"""With its headers, a dead letter must fit a broker's usual 1 MiB, or it stops the flow."""

MAX_KEY_BYTES = 4_096
MAX_HEADER_BYTES = 32_768
"""Of the record's own headers together; those that come after are left out."""

HEADER_OVERHEAD_BYTES = 16
"""Counted for each, so that a record with a thousand empty headers makes no endless letter."""

MAX_MESSAGE_CHARS = 4_000

MAX_ID_CHARS = 256
"""A longer text in the place of an id is not one."""


class _Ids(msgspec.Struct):
    user_id: Any = None
    event_id: Any = None


_decode_ids = msgspec.json.Decoder(_Ids).decode


def dead_letter(  # noqa: PLR0913, PLR0917 - a place and a fault have that many parts
    record: Record,
    topic: str,
    partition: int,
    role: str,
    error: Exception,
    now_ms: int,
    attempt: int = 1,
    reason: Reason | None = None,
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
        Why: a `BadRecord`, or what our own code raised over it.
    now_ms
        When.
    attempt
        At which try the role gave it up.
    reason
        The class of the fault, if it isn't the error's own; `failed` where that has none.

    Returns
    -------
    Outgoing
        Key: the source topic, so that a topic's refusals keep their order. Value: the record's
        own, cut to `MAX_VALUE_BYTES` in the rare case that it is longer; `tidemill.dlq.cut_from`
        then tells its length. Headers: the record's own, then ours. What had to be cut is named in
        `tidemill.dlq.cut`, and such a letter can't be replayed.

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
    own, mark = unmark(record.headers, topic)
    again = mark is not None
    if mark is None:
        mark = Mark(source_name(topic, partition, record.offset), now_ms, 0)
    count = mark.replay_count + again
    kept, nulls = _own_headers(own)
    value, key = record.value, record.key
    cut = [
        part
        for part, is_cut in (
            ("value", value is not None and len(value) > MAX_VALUE_BYTES),
            ("key", key is not None and len(key) > MAX_KEY_BYTES),
            ("headers", len(kept) < len(own)),
        )
        if is_cut
    ]
    kind = type(error)
    words = str(error) if isinstance(error, BadRecord) else f"{kind.__name__}: {error}"
    message = f"{topic}[{partition}]@{record.offset}: {words}"
    if reason is None:
        reason = error.reason if isinstance(error, BadRecord) else "failed"
    final = cut or count >= MAX_REPLAYS or not is_replayable(topic)
    ours = {
        SCHEMA: SCHEMA_VERSION,
        "__connect.errors.topic": topic,
        "__connect.errors.partition": str(partition),
        "__connect.errors.offset": str(record.offset),
        "__connect.errors.stage": role,
        "__connect.errors.class.name": _raised_in(error) or role,
        "__connect.errors.exception.class.name": f"{kind.__module__}.{kind.__name__}",
        "__connect.errors.exception.message": message[:MAX_MESSAGE_CHARS],
        "tidemill.dlq.reason": reason,
        "tidemill.dlq.role": role,
        "tidemill.dlq.attempt": str(attempt),
        FIRST_FAILED_MS: str(mark.first_failed_ms),
        "tidemill.dlq.last_failed_ms": str(now_ms),
        "tidemill.dlq.disposition": "final" if final else "replayable",
        "tidemill.dlq.code_version": code_version(),
        REPLAY_COUNT: str(count),
        SOURCE: mark.source,
        "tidemill.dlq.timestamp_ms": str(record.timestamp),
    }
    _, event_id = readable_ids(value)
    if event_id is not None:
        ours["tidemill.dlq.event_id"] = event_id
    if nulls:
        ours["tidemill.dlq.null_headers"] = " ".join(map(str, nulls))
    if cut:
        ours["tidemill.dlq.cut"] = " ".join(cut)
    if value is not None and len(value) > MAX_VALUE_BYTES:
        ours["tidemill.dlq.cut_from"] = str(len(value))
        value = value[:MAX_VALUE_BYTES]
    headers: list[Header] = list(kept)
    headers += [(name, text.encode("utf-8", "backslashreplace")) for name, text in ours.items()]
    if key is not None:
        headers.append(("tidemill.dlq.key", key[:MAX_KEY_BYTES]))
    return Outgoing(topic.encode(), value, headers)


def readable_ids(value: bytes | None) -> tuple[str | None, str | None]:
    """Read the user's and the event's id from a payload, as far as there are any.

    >>> readable_ids(b'{"user_id": "ann", "event_id": 7, "ts": "never"}')
    ('ann', None)
    >>> readable_ids(b"?")
    (None, None)
    """
    try:
        ids = _decode_ids(value or b"")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None, None
    return _as_id(ids.user_id), _as_id(ids.event_id)


@cache
def code_version() -> str:
    """The version of Tidemill that runs."""
    try:
        return version("tidemill")
    except PackageNotFoundError:
        return "unknown"


def _as_id(value: object) -> str | None:
    fits = isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and value.isprintable()
    return str(value) if fits else None


def _raised_in(error: Exception) -> str | None:
    """Name the function that refused: where the error was raised, if it was."""
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"


def _own_headers(headers: Sequence[Header]) -> tuple[list[tuple[str, bytes]], list[int]]:
    """Keep as many as fit; also where a value was null, which not every client can send."""
    kept: list[tuple[str, bytes]] = []
    nulls: list[int] = []
    left = MAX_HEADER_BYTES
    for place, (name, value) in enumerate(headers):
        left -= len(name.encode("utf-8", "replace")) + len(value or b"") + HEADER_OVERHEAD_BYTES
        if left < 0:
            break
        if value is None:
            nulls.append(place)
        kept.append((name, value or b""))
    return kept, nulls
