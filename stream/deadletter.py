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
from stream.outgoing import Header, Outgoing, Publishes, RecordTooLarge
from stream.replayed import (
    FIRST_FAILED_MS,
    MAX_REPLAYS,
    REPLAY_COUNT,
    SOURCE,
    Mark,
    source_name,
    unmark,
)
from stream.topics import LETTER_TOPIC_BYTES, is_replayable

SCHEMA = "tidemill.dlq.schema"
KEY = "tidemill.dlq.key"
NULL_HEADERS = "tidemill.dlq.null_headers"

SCHEMA_VERSION = "1"
"""Of the letter's headers. A reader refuses one that it doesn't know."""

MAX_LETTER_BYTES = LETTER_TOPIC_BYTES - 65_536
"""What the topic takes, less what its batch adds. A record that a broker takes by default fits."""

CUT_ABOVE_BYTES = 1_000_000
"""A letter that is too large is cut to less than this, so that any broker takes it."""

MAX_VALUE_BYTES = 900_000
"""What is left of a value that is cut. With its headers the letter then fits a broker's usual
1 MiB, or it would stop the flow."""

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
        own. Headers: the record's own, then ours. A record that no broker takes by default may make
        a letter that is too large for its topic: it is `shortened`.

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
    nulls = [str(place) for place, (_, text) in enumerate(own) if text is None]
    value, key = record.value, record.key
    kind = type(error)
    words = str(error) if isinstance(error, BadRecord) else f"{kind.__name__}: {error}"
    message = f"{topic}[{partition}]@{record.offset}: {words}"
    if reason is None:
        reason = error.reason if isinstance(error, BadRecord) else "failed"
    final = count >= MAX_REPLAYS or not is_replayable(topic)
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
        ours[NULL_HEADERS] = " ".join(nulls)  # Not every client can send a null.
    headers: list[Header] = [(name, text or b"") for name, text in own]
    headers += [(name, text.encode("utf-8", "backslashreplace")) for name, text in ours.items()]
    if key is not None:
        headers.append((KEY, key))
    return shortened(Outgoing(topic.encode(), value, headers), MAX_LETTER_BYTES)


def shortened(letter: Outgoing, limit: int = CUT_ABOVE_BYTES) -> Outgoing:
    """Cut a letter that is larger than a limit to less than `CUT_ABOVE_BYTES`.

    What had to be cut is named in `tidemill.dlq.cut`, a value's whole length in
    `tidemill.dlq.cut_from`. Such a letter can't be replayed.

    >>> from stream.batching import PlainRecord
    >>> error = BadRecord("value", "1 MB", "less", "too_large")
    >>> letter = dead_letter(PlainRecord(None, b"x" * 1_000_000, 7), "reviews", 3, "i", error, 5)
    >>> cut = shortened(letter)
    >>> len(letter.value), len(cut.value), dict(cut.headers)["tidemill.dlq.cut"]
    (1000000, 900000, b'value')
    """
    if letter.size <= limit:
        return letter
    value, cut = letter.value, []
    border = max(place for place, (name, _) in enumerate(letter.headers) if name == SCHEMA)
    own, ours = letter.headers[:border], dict(letter.headers[border:])
    key = ours.pop(KEY, None)
    if value is not None and len(value) > MAX_VALUE_BYTES:
        cut.append("value")
        ours["tidemill.dlq.cut_from"] = str(len(value)).encode()
        value = value[:MAX_VALUE_BYTES]
    if key is not None and len(key) > MAX_KEY_BYTES:
        cut.append("key")
    kept = _kept_headers(own)
    if len(kept) < len(own):
        cut.append("headers")
    nulls = [n for n in (ours.pop(NULL_HEADERS, None) or b"").split() if int(n) < len(kept)]
    if nulls:
        ours[NULL_HEADERS] = b" ".join(nulls)
    if cut:
        ours["tidemill.dlq.disposition"] = b"final"
        ours["tidemill.dlq.cut"] = " ".join(cut).encode()
    headers = [*kept, *ours.items()]
    if key is not None:
        headers.append((KEY, key[:MAX_KEY_BYTES]))
    return msgspec.structs.replace(letter, value=value, headers=headers)


async def publish_letters(publisher: Publishes, topic: str, letters: Sequence[Outgoing]) -> None:
    """Publish dead letters; one that the broker doesn't take whole is cut.

    A topic that somebody else made may take less than ours.
    """
    sending = list(letters)
    while True:
        try:
            return await publisher.publish(topic, sending)
        except RecordTooLarge as error:
            cut = shortened(sending[error.index])
            if cut is sending[error.index]:
                raise
            sending[error.index] = cut


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


def _kept_headers(headers: Sequence[Header]) -> list[Header]:
    """As many as fit."""
    kept: list[Header] = []
    left = MAX_HEADER_BYTES
    for name, value in headers:
        left -= len(name.encode("utf-8", "replace")) + len(value or b"") + HEADER_OVERHEAD_BYTES
        if left < 0:
            break
        kept.append((name, value))
    return kept
