"""The events that ingest has published lately, so that a second copy is recognised."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

EventKey = tuple[str, str]
"""A user and the id of one of their events: what makes two records the same event."""


class SeenEvents:
    """The newest event keys, a bounded number of them; the one that came up longest ago goes first.

    It is a filter in front of the profile, which remembers ids per user for good: what is
    forgotten here, or lost with the process, is caught there. It may always start empty.

    Parameters
    ----------
    limit
        Keys kept. One takes about 300 bytes: 200,000 are 60 MB and, at 1,000 events a second, the
        last three minutes. Below a producer's retry time, copies get through to the profile.

    Examples
    --------
    >>> seen = SeenEvents(limit=2)
    >>> seen.add([("ann", "e1"), ("ann", "e2")])
    >>> ("ann", "e1") in seen
    True
    >>> seen.add([("bob", "e3")])
    >>> ("ann", "e2") in seen, ("ann", "e1") in seen, len(seen)
    (False, True, 2)
    """

    def __init__(self, limit: int = 200_000) -> None:
        if limit < 1:
            msg = f"limit must be at least 1, got {limit}"
            raise ValueError(msg)
        self.limit = limit
        self._keys: OrderedDict[EventKey, None] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._keys)

    def __contains__(self, key: EventKey) -> bool:
        """Whether the event was seen; asking keeps its key for longer."""
        if key not in self._keys:
            return False
        self._keys.move_to_end(key)
        return True

    def add(self, keys: Iterable[EventKey]) -> None:
        """Remember events, in the order in which they were published."""
        held = self._keys
        for key in keys:
            held[key] = None
            held.move_to_end(key)
            if len(held) > self.limit:
                held.popitem(last=False)
