"""Records of `events` decoded and checked: those of a run by few calls where all are plainly good.

Ingest wrote them, so nearly all are good. Where one may not be, each is judged by itself, and the
bad one is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from stream.batching import Record, Run
from stream.errors import BadRecord
from stream.events import Event, decode_event, event_decoder
from stream.lines import decode_lines, join_lines
from stream.parse import MAX_WHOLE_CHARS
from stream.parse_faults import ID_WANTED, decode_own
from stream.parse_time import LATEST_MS
from stream.replayed import unmark

_IDS = ("event_id", "user_id", "item_id")
_TIMES = ("ts_ms", "received_ms")


def decode_events(run: Run) -> Sequence[Event]:
    """The events of a run's records.

    Raises
    ------
    BadRecord
        If one is no event as ingest writes it.
    """
    if not any(map(attrgetter("headers"), run.records)):  # a replayed one says so there
        lines = join_lines(run.records)
        events = decode_lines(event_decoder, lines, len(run.records)) if lines else None
        if events is not None and _good(events):
            return events
    return [_event(record, run.topic) for record in run.records]


def _good(events: Sequence[Event]) -> bool:
    for name in _IDS:
        lengths = set(map(len, map(attrgetter(name), events)))
        if not (min(lengths) > 0 and max(lengths) <= MAX_WHOLE_CHARS):
            return False
    for name in _TIMES:
        times = list(map(attrgetter(name), events))
        if not (min(times) >= 0 and max(times) < LATEST_MS):
            return False
    return True


def _event(record: Record, topic: str) -> Event:
    event = decode_own(record.value, decode_event, "an event", "ingest")
    for name in _IDS:
        if not 0 < len(text := getattr(event, name)) <= MAX_WHOLE_CHARS:
            raise BadRecord(name, text[:MAX_WHOLE_CHARS], ID_WANTED, "bad_id")
    for name in _TIMES:
        # A later time is none that ingest wrote, and would rule for ever.
        if not 0 <= (time_ms := getattr(event, name)) < LATEST_MS:
            raise BadRecord(name, time_ms, "a time from 1970 to 5138", "bad_timestamp")
    if record.headers and unmark(record.headers, topic)[1] is not None:
        return msgspec.structs.replace(event, replayed=True)
    return event
