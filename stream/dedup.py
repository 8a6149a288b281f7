"""The events that ingest has published lately, so that a second copy is recognised."""

from __future__ import annotations

from collections.abc import Iterable

EventKey = tuple[str, str]
"""A user and the id of one of their events: what makes two records the same event."""


class SeenEvents:
    """The newest event keys, a bounded number of them.

    It is a filter in front of the profile, which remembers ids per user for good: what is
    forgotten here, or lost with the process, is caught there. It may always start empty.

    Keys are kept in three sets by age, and the oldest set is dropped as a whole. Putting each
    forgotten key away by itself, in the order of a linked list, cost a fifth of all of ingest.

    Parameters
    ----------
    limit
        A copy is recognised among as many events, copies included; up to half as many more are
        kept. One takes about 200 bytes: 200,000 are 40 to 60 MB and, at 1,000 events a second, the
        last three minutes. Below a producer's retry time, copies get through to the profile.

    Examples
    --------
    >>> seen = SeenEvents(limit=2)
    >>> seen.add([("ann", "e1"), ("ann", "e2")])
    >>> ("ann", "e1") in seen
    True
    >>> for number in range(3, 6):
    ...     seen.add([("bob", f"e{number}")])
    >>> ("ann", "e2") in seen, ("bob", "e4") in seen, len(seen)
    (False, True, 2)
    """

    def __init__(self, limit: int = 200_000) -> None:
        if limit < 1:
            msg = f"limit must be at least 1, got {limit}"
            raise ValueError(msg)
        self.limit = limit
        self._full = (limit + 1) // 2
        self._young: set[EventKey] = set()
        self._older: tuple[set[EventKey], ...] = (set(), set())

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._young.union(*self._older))

    def __contains__(self, key: EventKey) -> bool:
        """Whether the event was seen; asking keeps its key for longer."""
        if key in self._young:
            return True
        if any(key in older for older in self._older):
            self.add((key,))
            return True
        return False

    def none_of(self, keys: Iterable[EventKey]) -> bool:
        """Whether not one of them was seen: quicker than asking for each."""
        return self._young.isdisjoint(keys) and all(o.isdisjoint(keys) for o in self._older)

    def add(self, keys: Iterable[EventKey]) -> None:
        """Remember events, those that were published together."""
        self._young.update(keys)
        if len(self._young) >= self._full:
            self._older = (self._young, self._older[0])
            self._young = set()
