"""The commit rule: which offset of a partition may be committed.

**The committed offset is the last offset of the longest prefix of finished runs, plus one.** The
prefix is taken over the runs in the order in which they were fetched, so holes between offsets
(compaction, transaction markers) play no part, and neither does the order in which runs finish.
"""

from __future__ import annotations

from collections import deque


class Ticket:
    """One fetched run's place in its partition's ledger; `done` once the run is finished."""

    __slots__ = ("done", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.done = False


class Ledger:
    """The runs of one partition that were fetched since its last seek, in order.

    After a seek the runs come again, so the partition gets a new ledger: tickets of the old one
    may still be marked done, and change nothing.

    Parameters
    ----------
    committed
        The offset that the broker has, or `None`.

    Examples
    --------
    >>> ledger = Ledger()
    >>> first, second = ledger.fetched(41), ledger.fetched(97)
    >>> second.done = True
    >>> ledger.committable() is None
    True
    >>> first.done = True
    >>> ledger.committable()
    98
    >>> ledger.committed(98)
    >>> ledger.committable() is None
    True
    """

    def __init__(self, committed: int | None = None) -> None:
        self._open: deque[Ticket] = deque()
        self._newest = -1
        self._finished: int | None = None
        self._committed = committed

    def fetched(self, offset: int) -> Ticket:
        """Enter the next run, which ends at `offset`."""
        if offset <= self._newest:
            message = f"runs must be entered in order: {offset} after {self._newest}"
            raise AssertionError(message)
        self._newest = offset
        ticket = Ticket(offset)
        self._open.append(ticket)
        return ticket

    def committable(self) -> int | None:
        """Return the offset to commit, or `None` where the broker already has it."""
        while self._open and self._open[0].done:
            self._finished = self._open.popleft().offset + 1
        if self._finished is None:
            return None
        if self._committed is not None and self._finished <= self._committed:
            return None
        return self._finished

    def committed(self, offset: int) -> None:
        """Remember what the broker confirmed: called after it said yes, never before."""
        self._committed = offset
