"""Many records of a raw topic at once, where nothing about them is out of the ordinary.

`stream.parse` judges a record; here, what is asked of each is asked of all of them in one go, in C.
The answer is all or nothing: where a single one isn't plainly good, `stream.parse` has to take them
one by one. So a refusal is found and worded there alone, and the two never differ in what they let
through.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from stream.batching import Record
from stream.errors import BadRecord
from stream.events import Event
from stream.lines import decode_lines, join_lines, plain
from stream.parse import (
    MAX_NAME_CHARS,
    MAX_RECORD_BYTES,
    MAX_TEXT_CHARS,
    OWN_IDS,
    RAW_DECODERS,
    RAW_EVENTS,
    TopicKind,
)
from stream.parse_time import AHEAD_MS, EARLIEST_MS, read_time_ms
from stream.replayed import source_name
from stream.tenants import ONE_SHOP, into

_UNNAMED = frozenset({msgspec.UNSET, ""})
"""How the shop without a name is named."""

_BETWEEN = "|"
"""Stands between ids that are looked at together, so that a space at an id's end shows."""


def parse_together(  # noqa: PLR0913, PLR0917 - what `parse_event` is given of a record
    topic_kind: TopicKind,
    records: Sequence[Record],
    topic: str,
    partition: int,
    now_ms: int,
    tenants: Collection[str] = ONE_SHOP,
) -> list[Event] | None:
    """Validate records of `clicks`, `purchases` or `reviews` as `parse_event` does, all at once.

    Parameters
    ----------
    topic_kind
        The raw topic's name without its prefix.
    records
        In offset order, at least one.
    topic, partition
        Where they were read.
    now_ms
        The time of day.
    tenants
        The shops that a record may name as its own.

    Returns
    -------
    list of Event or None
        An event for each; `None` where one may be bad or was replayed.

    Examples
    --------
    >>> from stream.batching import PlainRecord
    >>> good = PlainRecord(None, b'{"user_id":"ann","item_id":"tea","ts":1777626000000}', 7)
    >>> parse_together("clicks", [good], "clicks", 0, 1_777_626_000_000)[0].event_id
    'clicks-0-7'
    >>> parse_together("clicks", [good, good._replace(value=b"?")], "clicks", 0, 0) is None
    True
    """
    if any(map(attrgetter("headers"), records)):  # One may have been a dead letter.
        return None
    raws = _decoded(topic_kind, records)
    if raws is None or not (shops := _shops(raws)).issubset(tenants):
        return None
    times = list(map(attrgetter("ts"), raws))
    if set(map(type, times)) != {int}:
        try:
            times = list(map(read_time_ms, times))
        except BadRecord:
            return None
    if not (EARLIEST_MS <= min(times) and max(times) <= now_ms + AHEAD_MS):
        return None
    if topic_kind == "reviews" and not all(
        len(raw.text) <= MAX_TEXT_CHARS and len(raw.title) <= MAX_NAME_CHARS for raw in raws
    ):
        return None
    place = source_name(topic, partition, 0)[:-1]
    sources = [f"{place}{record.offset}" for record in records]
    event_ids = list(map(attrgetter("event_id"), raws))
    if not all(event_ids):
        event_ids = [own or source for own, source in zip(event_ids, sources, strict=True)]
    received = list(map(attrgetter("timestamp"), records))
    if not (0 < min(received) and max(received) < now_ms):
        received = [at_ms if 0 < at_ms < now_ms else now_ms for at_ms in received]
    events = RAW_EVENTS[topic_kind](zip(raws, event_ids, times, sources, received, strict=True))
    if shops:
        events = [
            into(event, raw.tenant, *OWN_IDS) for event, raw in zip(events, raws, strict=True)
        ]
    return events


def _decoded(topic_kind: TopicKind, records: Sequence[Record]) -> list[Any] | None:
    """Decode records that are whole and whose ids are good."""
    lines = join_lines(records)
    if lines is None or len(lines) > MAX_RECORD_BYTES:
        return None
    raws = decode_lines(RAW_DECODERS[topic_kind], lines, len(records))
    return raws if raws is not None and (plain(lines) or _good_ids(topic_kind, raws)) else None


def _shops(raws: Sequence[Any]) -> set[Any]:
    return set(map(attrgetter("tenant"), raws)) - _UNNAMED


def _good_ids(topic_kind: TopicKind, raws: Sequence[Any]) -> bool:
    names = ["user_id", "item_id", "event_id", "recommendation_id"]
    if topic_kind != "reviews":
        names.append("session_id")
    columns = (_BETWEEN.join(filter(None, map(attrgetter(name), raws))) for name in names)
    ids = f"{_BETWEEN}{_BETWEEN.join(columns)}{_BETWEEN}"
    return ids.isprintable() and f" {_BETWEEN}" not in ids and f"{_BETWEEN} " not in ids
