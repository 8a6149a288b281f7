"""Growing memory of the counting baselines: last items, lists per key, counts of pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NONE = -1
"""Pads histories that are shorter than the window."""

_MERGE_AFTER = 16
"""Appended pieces that a row of pair counts keeps before it merges them: more waste memory on
duplicates, fewer merge more often than rows are read."""

Int32 = NDArray[np.int32]


class LastItems:
    """The last `length` items of each key (a user or a session), newest first.

    Examples
    --------
    >>> last = LastItems(length=2)
    >>> last.append(np.array([0, 0, 0]), np.array([5, 6, 7]))
    >>> last.before(np.array([0, 3])).tolist()
    [[7, 6], [-1, -1]]
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self._rows: Int32 = np.full((1024, length), NONE, np.int32)

    def _reserve(self, key: NDArray[np.int32]) -> None:
        if key.size and int(key.max()) >= len(self._rows):
            grown = np.full((2 * int(key.max()) + 2, self.length), NONE, np.int32)
            grown[: len(self._rows)] = self._rows
            self._rows = grown

    def before(self, key_B: Int32) -> Int32:
        """Histories as of the last learnt event, (B, length)."""
        self._reserve(key_B)
        return self._rows[key_B]

    def before_each(self, key_B: Int32, item_B: Int32) -> Int32:
        """Histories as of just before each event, so with the batch's earlier events in them."""
        history = self.before(key_B)
        newest_of: dict[int, int] = {}
        for b, key in enumerate(key_B.tolist()):
            earlier = newest_of.get(key)
            if earlier is not None:
                history[b, 1:] = history[earlier, :-1]
                history[b, 0] = item_B[earlier]
            newest_of[key] = b
        return history

    def before_instant(self, key_B: Int32, item_B: Int32, ts_ms_B: NDArray[np.int64]) -> Int32:
        """Histories as of just before each event's instant: events of equal time don't see others.

        Examples
        --------
        >>> last = LastItems(length=2)
        >>> day = np.array([1, 1, 2])
        >>> last.before_instant(np.array([0, 0, 0]), np.array([5, 6, 7]), day).tolist()
        [[-1, -1], [-1, -1], [6, 5]]
        """
        history = self.before_each(key_B, item_B)
        first_of: dict[tuple[int, int], int] = {}
        for b, moment in enumerate(zip(key_B.tolist(), ts_ms_B.tolist(), strict=True)):
            history[b] = history[first_of.setdefault(moment, b)]
        return history

    def append(self, key_B: Int32, item_B: Int32) -> None:
        """Put the events on top of their keys' histories, in order."""
        history = self.before_each(key_B, item_B)
        after = np.concatenate([item_B[:, None], history[:, :-1]], axis=1)
        last_of_key = dict(zip(key_B.tolist(), range(len(key_B)), strict=True))
        self._rows[list(last_of_key)] = after[list(last_of_key.values())]


class GrowingLists:
    """A list of distinct int32 per key, in the order of their first coming.

    Examples
    --------
    >>> lists = GrowingLists()
    >>> [lists.add(4, value) for value in (7, 8, 7)], lists.get(4).tolist(), lists.get(5).tolist()
    ([True, True, False], [7, 8], [])
    """

    def __init__(self) -> None:
        self._values: dict[int, Int32] = {}
        self._size: dict[int, int] = {}
        self._held: dict[int, set[int]] = {}

    def add(self, key: int, value: int) -> bool:
        """Append a value unless the list has it; says whether it was new."""
        held = self._held.setdefault(key, set())
        if value in held:
            return False
        size = len(held)
        values = self._values.get(key)
        if values is None or size == len(values):
            grown = np.empty(max(4, 2 * size), np.int32)
            if values is not None:
                grown[:size] = values
            self._values[key] = values = grown
        values[size] = value
        held.add(value)
        self._size[key] = size + 1
        return True

    def get(self, key: int) -> Int32:
        """The list of a key, a view."""
        values = self._values.get(key)
        return np.empty(0, np.int32) if values is None else values[: self._size[key]]


class PairCounts:
    """Counts of ordered pairs (i, j), kept by row i, sparse.

    Examples
    --------
    >>> pairs = PairCounts()
    >>> pairs.add(np.array([1, 1, 2, 1]), np.array([9, 8, 9, 9]))
    >>> [part.tolist() for part in pairs.row(1)]
    [[8, 9], [1.0, 2.0]]
    """

    def __init__(self) -> None:
        self._rows: dict[int, list[tuple[Int32, NDArray[np.float64]]]] = {}

    def add(self, i: Int32, j: Int32, weight: NDArray[np.float64] | float = 1.0) -> None:
        """Add a weight to each pair."""
        if not i.size:
            return
        order = np.lexsort((j, i))
        i, j = i[order], j[order].astype(np.int32)
        each = np.broadcast_to(np.asarray(weight, np.float64), i.shape)[order]
        new = np.flatnonzero(np.r_[True, (i[1:] != i[:-1]) | (j[1:] != j[:-1])])
        i, j, each = i[new], j[new], np.add.reduceat(each, new)
        starts = np.flatnonzero(np.r_[True, i[1:] != i[:-1]])
        stops = np.r_[starts[1:], i.size].tolist()
        for row, a, b in zip(i[starts].tolist(), starts.tolist(), stops, strict=True):
            pieces = self._rows.setdefault(row, [])
            pieces.append((j[a:b].copy(), each[a:b].copy()))
            if len(pieces) > _MERGE_AFTER:
                self.row(row)

    def row(self, i: int) -> tuple[Int32, NDArray[np.float64]]:
        """The partners of i, ascending, and their counts."""
        pieces = self._rows.get(i)
        if not pieces:
            return np.empty(0, np.int32), np.empty(0)
        if len(pieces) > 1:
            j = np.concatenate([piece[0] for piece in pieces])
            weight = np.concatenate([piece[1] for piece in pieces])
            order = np.argsort(j, kind="stable")
            j, weight = j[order], weight[order]
            new = np.flatnonzero(np.r_[True, j[1:] != j[:-1]])
            pieces[:] = [(j[new], np.add.reduceat(weight, new))]
        return pieces[0]
