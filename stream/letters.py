"""Reading dead letters back, and deciding which of them may go to their topic again.

```
letter ─┬─ a newer letter tells of the same record ─► older
        ├─ its topic is one that we write          ─► internal (`events` apart)
        ├─ it was cut                              ─► cut
        ├─ it came back `MAX_REPLAYS` times        ─► exhausted
        ├─ its event counts already                ─► accepted
        ├─ its topic keeps the newest per key      ─► compacted (unless it is asked for by name)
        ├─ its topic is gone                       ─► no_topic
        └─ none of these                           ─► replay
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from stream.batching import Record
from stream.deadletter import SCHEMA, SCHEMA_VERSION, readable_ids
from stream.errors import BadRecord
from stream.outgoing import Header, Outgoing
from stream.replayed import MAX_REPLAYS, Mark
from stream.topics import DAY_MS, REPLAYABLE, TopicSpec

Verdict = Literal[
    "replay", "older", "internal", "cut", "exhausted", "accepted", "compacted", "no_topic"
]
"""What is to be done with a letter."""


class Letter(NamedTuple):
    """A dead letter, read: the refused record as it was, and what its headers say of it."""

    topic: str
    partition: int
    offset: int
    source: str
    reason: str
    role: str
    message: str
    first_failed_ms: int
    last_failed_ms: int
    replay_count: int
    cut: str
    event_id: str | None
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Sequence[Header]

    @property
    def event_key(self) -> tuple[str, str] | None:
        """The user and the id under which its event is accepted, if a user can be read."""
        user_id, event_id = readable_ids(self.value)
        return None if user_id is None else (user_id, event_id or self.source)

    @property
    def age_key(self) -> tuple[int, int]:
        """Orders the letters of one record."""
        return self.replay_count, self.last_failed_ms


def read_letter(record: Record) -> Letter:
    """Read a record of `dead-letters`.

    Raises
    ------
    BadRecord
        If it is no dead letter, or one with headers of a version that isn't known here.

    Examples
    --------
    >>> from stream.batching import PlainRecord
    >>> from stream.deadletter import dead_letter
    >>> error = BadRecord("rating", 9, "a number from 1 to 5", "out_of_range")
    >>> refused = PlainRecord(b"ann", b"{}", 42, 7, [("trace", None)])
    >>> written = dead_letter(refused, "reviews", 3, "ingest", error, 5)
    >>> letter = read_letter(PlainRecord(written.key, written.value, 0, 0, written.headers))
    >>> letter.source, letter.reason, letter.key, letter.value, letter.timestamp_ms, letter.headers
    ('reviews-3-42', 'out_of_range', b'ann', b'{}', 7, [('trace', None)])
    """
    headers = list(record.headers)
    border = next(
        (place for place in range(len(headers) - 1, -1, -1) if headers[place][0] == SCHEMA), None
    )
    if border is None:
        names = [name for name, _ in headers]
        raise BadRecord(
            field="headers", value=names, wanted=f"with {SCHEMA}", reason="missing_field"
        )
    ours = dict(headers[border:])
    if ours[SCHEMA] != SCHEMA_VERSION.encode():
        wanted = f"{SCHEMA_VERSION}, the version that this Tidemill reads"
        raise BadRecord(SCHEMA, ours[SCHEMA], wanted, "out_of_range")

    def text(name: str) -> str:
        value = ours.get(name)
        if value is None:
            raise BadRecord(name, None, "in a dead letter's headers", "missing_field")
        return value.decode("utf-8", "backslashreplace")

    own: list[Header] = headers[:border]
    try:
        for place in (ours.get("tidemill.dlq.null_headers") or b"").split():
            own[int(place)] = (own[int(place)][0], None)
        return Letter(
            topic=text("__connect.errors.topic"),
            partition=int(text("__connect.errors.partition")),
            offset=int(text("__connect.errors.offset")),
            source=text("tidemill.dlq.source"),
            reason=text("tidemill.dlq.reason"),
            role=text("tidemill.dlq.role"),
            message=text("__connect.errors.exception.message"),
            first_failed_ms=int(text("tidemill.dlq.first_failed_ms")),
            last_failed_ms=int(text("tidemill.dlq.last_failed_ms")),
            replay_count=int(text("tidemill.dlq.replay_count")),
            cut=(ours.get("tidemill.dlq.cut") or b"").decode(),
            event_id=text("tidemill.dlq.event_id") if "tidemill.dlq.event_id" in ours else None,
            key=ours.get("tidemill.dlq.key"),
            value=record.value,
            timestamp_ms=int(text("tidemill.dlq.timestamp_ms")),
            headers=own,
        )
    except (ValueError, IndexError) as fault:
        wanted = f"as a dead letter's are ({fault})"
        raise BadRecord(
            field="headers", value=list(ours.items()), wanted=wanted, reason="wrong_type"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which letters are meant; `None` and empty mean all.

    Topics are named with or without their prefix.
    """

    prefix: str = ""
    topics: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    since_ms: int | None = None
    user_id: str | None = None

    def names(self, topic: str) -> bool:
        """Whether a topic is asked for by its name."""
        return topic in self.topics or topic.removeprefix(self.prefix) in self.topics

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.topics or self.names(letter.topic))
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.roles or letter.role in self.roles)
            and (self.since_ms is None or letter.last_failed_ms >= self.since_ms)
            and (
                self.user_id is None
                or letter.key == self.user_id.encode()
                or readable_ids(letter.value)[0] == self.user_id
            )
        )


class _Identity(msgspec.Struct):
    user_id: str
    event_id: str
    source: str = ""


_decode_event = msgspec.json.Decoder(_Identity).decode
_decode_example = msgspec.msgpack.Decoder(_Identity).decode


def accepted_event(value: bytes | None) -> tuple[str, tuple[str, str]] | None:
    """Read from a record of `events` where it was read first, and its user and id."""
    return _identity(_decode_event, value)


def applied_event(value: bytes | None) -> tuple[str, tuple[str, str]] | None:
    """Read from a record of `examples` the user and the id of the event that was applied."""
    return _identity(_decode_example, value)


def _identity(
    decode: Callable[[bytes], _Identity], value: bytes | None
) -> tuple[str, tuple[str, str]] | None:
    try:
        event = decode(value or b"")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None  # Somebody else wrote it; no letter is about it.
    return event.source, (event.user_id, event.event_id)


def verdict(
    letter: Letter, wanted: Filter, partitions: Mapping[str, int], *, newest: bool
) -> Verdict:
    """Decide what to do with a letter, all but `accepted`, which other topics must be read for.

    Parameters
    ----------
    letter
        The letter.
    wanted
        Whose prefix and topics are asked.
    partitions
        How many each topic on the broker has.
    newest
        Whether no later letter tells of the same record.
    """
    spec = replayable_topic(letter.topic, wanted.prefix)
    if not newest:
        return "older"
    if spec is None:
        return "internal"
    if letter.cut:
        return "cut"
    if letter.replay_count >= MAX_REPLAYS:
        return "exhausted"
    if spec.compacted and not wanted.names(letter.topic):
        return "compacted"
    return "replay" if partitions.get(letter.topic) else "no_topic"


def replayable_topic(topic: str, prefix: str) -> TopicSpec | None:
    """Find what a topic is, if its dead letters may go to it again.

    >>> replayable_topic("tidemill.reviews", "tidemill.").name
    'reviews'
    >>> replayable_topic("tidemill.examples", "tidemill."), replayable_topic("events", "tidemill.")
    (None, None)
    """
    return REPLAYABLE.get(topic.removeprefix(prefix)) if topic.startswith(prefix) else None


def put_back(letter: Letter, spec: TopicSpec, partitions: int, now_ms: int) -> Outgoing:
    """Make the record that goes to the letter's topic again: the original, and a replay's mark.

    It keeps its partition, if that is still there, and its timestamp. A timestamp that the topic's
    retention would remove within a day becomes `now_ms`: otherwise the broker could delete the
    record before it is read.
    """
    kept_until_ms = letter.timestamp_ms + spec.retention_ms - DAY_MS
    lasts = letter.timestamp_ms >= 0 and (spec.compacted or now_ms <= kept_until_ms)
    mark = Mark(letter.source, letter.first_failed_ms, letter.replay_count)
    return Outgoing(
        letter.key,
        letter.value,
        [*letter.headers, *mark.headers],
        letter.partition if letter.partition < partitions else None,
        letter.timestamp_ms if lasts else now_ms,
    )


def escaped(data: bytes | None) -> str:
    r"""Show bytes on one line of a terminal: text as it is, all else escaped, nothing ambiguous.

    >>> print(escaped("caf\u00e9\n\x1b[2J\\".encode() + b"\xff"), escaped(None))
    café\n\x1b[2J\\\xff null
    """
    if data is None:
        return "null"
    shown = []
    for sign in data.decode("utf-8", "surrogateescape"):
        if "\udc80" <= sign <= "\udcff":
            shown.append(f"\\x{ord(sign) - 0xDC00:02x}")
        elif sign.isprintable() and sign != "\\":
            shown.append(sign)
        else:
            shown.append(sign.encode("unicode_escape").decode())
    return "".join(shown)
