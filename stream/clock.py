"""Time is an argument: whoever needs the time of day is given a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The two readings that Tidemill needs."""

    def now_ms(self) -> int:
        """Wall-clock time, in milliseconds since the epoch."""

    def monotonic_s(self) -> float:
        """Seconds that never run backwards, for durations and deadlines."""


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Wall-clock time, in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until a test advances it.

    >>> clock = ManualClock(start_ms=1_000)
    >>> clock.advance(2.5)
    >>> clock.now_ms(), clock.monotonic_s()
    (3500, 2.5)
    """

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._start_ms = start_ms
        self._elapsed_s = 0.0

    def now_ms(self) -> int:
        """Wall-clock time, in milliseconds since the epoch."""
        return self._start_ms + int(self._elapsed_s * 1000)

    def monotonic_s(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        """Move both readings forward."""
        self._elapsed_s += seconds
