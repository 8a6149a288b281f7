"""A rate by the same clock for every consumer; needs the standard library alone."""

from __future__ import annotations

import time

WARM = 10
"""One in so many of the events comes before the clock starts: the start, the group, the caches."""


class Meter:
    """Counts events, and knows how long those after the first tenth took.

    The clock starts when the first tenth is done and ends with the last event. What a consumer
    fetched ahead meanwhile is its own merit, whichever library it is.

    Parameters
    ----------
    total
        How many events there are.

    Attributes
    ----------
    done
        Whether all of them were counted.

    Examples
    --------
    >>> meter = Meter(100)
    >>> for _ in range(100):
    ...     meter.count()
    >>> meter.done, sorted(meter.figures())
    (True, ['cpu_us', 'events_per_s'])
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.seen = 0
        self._warm = total // WARM
        self._first = 0
        self._wall_s = self._cpu_s = 0.0

    @property
    def done(self) -> bool:
        """Whether all events were counted."""
        return self.seen >= self.total

    def count(self, events: int = 1) -> None:
        """Take note of events that are done."""
        self.seen += events
        if not self._first:
            if self.seen >= self._warm:
                self._first = self.seen
                self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()
        elif self.seen >= self.total:
            self._wall_s = time.perf_counter() - self._wall_s
            self._cpu_s = time.process_time() - self._cpu_s

    def figures(self) -> dict[str, float]:
        """Events per second, and microseconds of the process's own work for one."""
        events = self.seen - self._first
        return {
            "events_per_s": events / max(self._wall_s, 1e-9),
            "cpu_us": 1e6 * self._cpu_s / max(events, 1),
        }
