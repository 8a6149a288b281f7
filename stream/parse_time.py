"""Timestamps of producers: numbers or text → milliseconds that can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stream.errors import BadRecord
from stream.parse_faults import TS_WANTED

EARLIEST_MS = 631_152_000_000
"""1990: no shop's log is older, but many a default value is."""

AHEAD_MS = 86_400_000
"""One day: a producer's clock may be wrong by its zone, not by more."""

_SECONDS_BELOW = 100_000_000_000
"""1e11 ms is March 1973, 1e11 s the year 5138: a smaller number is meant in seconds."""

LATEST_MS = 100_000_000_000_000
"""1e14 ms is the year 5138, 1e14 microseconds March 1973: a larger number is meant in these."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def read_time_ms(ts: int | str) -> int:
    """Read a timestamp as milliseconds since the epoch, whether or not it can be.

    >>> read_time_ms("2026-05-01T09:00:00Z"), read_time_ms(5)
    (1777626000000, 5)
    """
    return _ms(ts) if isinstance(ts, str) else ts


def checked_time_ms(ts: int | str, now_ms: int) -> int:
    """Read a timestamp and refuse one that can't be.

    >>> checked_time_ms("1066-10-14", now_ms=1_777_626_000_000)
    Traceback (most recent call last):
        ...
    stream.errors.BadRecord: `ts` must be a time after 1990, got '1066-10-14'
    """
    ts_ms = _ms(ts) if isinstance(ts, str) else ts
    if not EARLIEST_MS <= ts_ms <= now_ms + AHEAD_MS:
        raise _bad_time(ts, ts_ms)
    return ts_ms


def _ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRecord(
            field="ts", value=text[:300], wanted=TS_WANTED, reason="bad_timestamp"
        ) from None
    if moment.tzinfo is None:
        if any(mark in text for mark in "T: "):
            wanted = "a time with its zone, such as 2026-05-01T09:00:00Z"
            raise BadRecord(field="ts", value=text[:300], wanted=wanted, reason="bad_timestamp")
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MS


def _bad_time(found: int | str, ts_ms: int) -> BadRecord:
    if isinstance(found, int) and 0 < ts_ms < _SECONDS_BELOW:
        wanted = "in milliseconds since the epoch: multiply seconds by 1000"
    elif isinstance(found, int) and ts_ms > LATEST_MS:
        wanted = "in milliseconds since the epoch: this looks like micro- or nanoseconds"
    elif ts_ms < EARLIEST_MS:
        wanted = "a time after 1990"
    else:
        wanted = "no more than one day ahead of now"
    return BadRecord("ts", found, wanted, "bad_timestamp")
