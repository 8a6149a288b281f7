"""How fast a recorded stream is sent: as fast as it came, N times faster, at a rate, or at once."""

from __future__ import annotations

from stream.clock import Clock
from stream.errors import SettingsError

BURST_S = 1.0
"""A stall longer than this is not made up for: the stream goes on at its pace, only later."""


class Pace:
    """Tells how long to wait before each record.

    Parameters
    ----------
    clock
        Measures what has passed.
    speed
        Times real time: 1 keeps the gaps of the recording.
    rate_per_s
        Records per second, whatever their times are. Without either, there is no wait.

    Examples
    --------
    >>> from stream.clock import ManualClock
    >>> pace = Pace(ManualClock(), speed=10)
    >>> pace.wait_s(60_000), pace.wait_s(65_000)
    (0.0, 0.5)
    """

    def __init__(
        self, clock: Clock, *, speed: float | None = None, rate_per_s: float | None = None
    ) -> None:
        for name, value in (("speed", speed), ("rate", rate_per_s)):
            if value is not None and not value > 0:
                msg = f"the {name} of a replay must be above 0, got {value}"
                raise SettingsError(msg)
        if speed is not None and rate_per_s is not None:
            msg = "a replay has a speed or a rate, not both: leave one out"
            raise SettingsError(msg)
        self._clock = clock
        self._speed = speed
        self._rate_per_s = rate_per_s
        self._start_s: float | None = None
        self._first_ms = 0
        self._sent = 0

    def wait_s(self, ts_ms: int) -> float:
        """Seconds to wait before the next record, whose own time is `ts_ms`."""
        if self._speed is None and self._rate_per_s is None:
            return 0.0
        now_s = self._clock.monotonic_s()
        if self._start_s is None:
            self._start_s, self._first_ms = now_s, ts_ms
        if self._speed is not None:
            due_s = (ts_ms - self._first_ms) / 1000 / self._speed
        else:
            due_s = self._sent / (self._rate_per_s or 1.0)
        self._sent += 1
        wait_s = self._start_s + due_s - now_s
        if wait_s < -BURST_S:
            self._start_s -= wait_s
        return max(0.0, wait_s)


def parse_speed(text: str) -> float | None:
    """Read what `--speed` takes: a number, or `max` for no wait at all.

    >>> parse_speed("60"), parse_speed("2.5x"), parse_speed("max")
    (60.0, 2.5, None)
    """
    if text.strip().lower() == "max":
        return None
    try:
        speed = float(text.strip().lower().removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        msg = f"--speed must be a number above 0 (times real time) or max, got {text!r}"
        raise SettingsError(msg)
    return speed
