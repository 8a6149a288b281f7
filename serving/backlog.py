"""Which of the waiting requests are answered next.

In the order of the log, unless `fresh_first` is set. Then up to `look_ahead` records are read ahead
of the answers, and each micro-batch takes the newest requests of those. So while more is asked than
can be answered, those who are answered have not waited long, and those who have waited too long
(`request_max_age_s`) are told so at once, all together: that costs next to nothing, and makes room.
In the log's order everybody would be answered just before it is too late.

The committed offset stays before the oldest request that waits. Events, and requests in order, pass
through.
"""

from __future__ import annotations

from collections.abc import Sequence

from serving.answer import Taken
from serving.config import ServingConfig
from stream.clock import Clock

Where = tuple[str, int]
"""A topic and a partition."""


class Backlog:
    """Requests read and not answered yet, at most `look_ahead` and a micro-batch of them.

    Examples
    --------
    >>> from stream.batching import PlainRecord
    >>> from stream.clock import ManualClock
    >>> config = ServingConfig(fresh_first=True, request_max_age_s=10, max_batch=2)
    >>> backlog = Backlog(config, "requests", ManualClock(start_ms=12_000))
    >>> def read(offset, at_ms):
    ...     return Taken("requests", 0, PlainRecord(None, b"", offset, at_ms))
    >>> waiting = [read(0, 1_000), read(1, 9_000), read(2, 10_000), read(3, 11_000)]
    >>> [(taken.record.offset) for taken in backlog.next(waiting)]
    [0, 3, 2]
    >>> backlog.held(), [taken.record.offset for taken in backlog.next([])], backlog.held()
    ({('requests', 0): 1}, [1], {})
    """

    def __init__(self, config: ServingConfig, requests: str, clock: Clock) -> None:
        self._fresh_first = config.fresh_first
        self._max_batch = config.max_batch
        self._look_ahead = config.look_ahead
        self._max_age_ms = config.request_max_age_s * 1000
        self._requests = requests
        self._clock = clock
        self._waiting: list[Taken] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many records may be read now."""
        if not self._fresh_first:
            return self._max_batch
        return max(0, self._look_ahead - len(self._waiting))

    def next(self, polled: Sequence[Taken]) -> list[Taken]:
        """Take records in, and give out those to answer now."""
        if not self._fresh_first:
            return list(polled)
        others = [taken for taken in polled if taken.topic != self._requests]
        self._waiting += [taken for taken in polled if taken.topic == self._requests]
        oldest_ms = self._clock.now_ms() - self._max_age_ms
        late = [taken for taken in self._waiting if taken.record.timestamp < oldest_ms]
        rest = [taken for taken in self._waiting if taken.record.timestamp >= oldest_ms]
        rest.sort(key=lambda taken: taken.record.timestamp, reverse=True)
        self._waiting = rest[self._max_batch :]
        return others + late + rest[: self._max_batch]

    def held(self) -> dict[Where, int]:
        """The oldest waiting offset of each partition: what must not be committed yet."""
        first: dict[Where, int] = {}
        for topic, partition, record in self._waiting:
            where = topic, partition
            first[where] = min(record.offset, first.get(where, record.offset))
        return first

    def drop(self, places: set[Where] | None) -> None:
        """Forget what waits from partitions that another worker reads from now on; `None`: all."""
        self._waiting = [
            taken
            for taken in self._waiting
            if places is not None and (taken.topic, taken.partition) not in places
        ]
