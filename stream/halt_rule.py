"""When an agent halts: too many of its newest records are refused for a reason on our side.

Producers' rubbish alone never halts it. The counts live in memory: a restart begins anew, and as
nothing of the run in hand was acknowledged, it meets the same records again.
"""

from __future__ import annotations

from collections import deque

WINDOW = 1_000
MOST_IN_WINDOW = WINDOW * 5 // 100
"""More refusals than this among the newest `WINDOW` records, and the agent halts. A count, not a
share of what was read so far: the first record after a start may well be the one that fails."""

MOST_IN_A_ROW = 100
"""So many on one partition, and the agent halts, however busy its other partitions are."""


class HaltRule:
    """Counts what is refused for a reason on our side, and says when to stop.

    Examples
    --------
    >>> rule = HaltRule()
    >>> rule.passed("events", 0, 2_000)
    >>> [rule.refused("events", 0) for _ in range(50)][-1]
    >>> rule.refused("events", 0)
    '51 of the last 1000 records'
    """

    def __init__(self) -> None:
        self._seen = 0
        self._refused_at: deque[int] = deque()
        self._in_a_row: dict[tuple[str, int], int] = {}

    @property
    def recent(self) -> int:
        """How many of the newest `WINDOW` records were refused."""
        while self._refused_at and self._refused_at[0] <= self._seen - WINDOW:
            self._refused_at.popleft()
        return len(self._refused_at)

    def passed(self, topic: str, partition: int, records: int) -> None:
        """Records that were handled, or refused because of their producer."""
        self._seen += records
        self._in_a_row.pop((topic, partition), None)

    def refused(self, topic: str, partition: int) -> str | None:
        """One record more that was refused; returns what is too much, if it is."""
        place = (topic, partition)
        self._seen += 1
        self._refused_at.append(self._seen)
        self._in_a_row[place] = self._in_a_row.get(place, 0) + 1
        if self.recent > MOST_IN_WINDOW:
            return f"{self.recent} of the last {min(self._seen, WINDOW)} records"
        if self._in_a_row[place] >= MOST_IN_A_ROW:
            return f"{self._in_a_row[place]} records in a row of {topic}[{partition}]"
        return None
