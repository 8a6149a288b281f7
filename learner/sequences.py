"""Whole sequences of a recorded log, as pretraining reads them.

Legend: `S` users, `N` events, `W` windows, `B` windows of a batch, `T` steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from stream.events import KIND_CODE, Event

POOL = 16
"""Batches whose windows are sorted by length before they are cut: few would leave much padding,
many would teach long histories apart from short ones."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """Users' events one after the other, each user's in time order; made by `lay_out`."""

    rows_N: NDArray[np.int32]
    kinds_N: NDArray[np.int8]
    ts_N: NDArray[np.int64]
    ratings_N: NDArray[np.float32]
    starts_S: NDArray[np.int64]
    """Where each user's events begin; the last one's end at `N`."""

    def __len__(self) -> int:
        """The number of users."""
        return len(self.starts_S)

    @property
    def ends_S(self) -> NDArray[np.int64]:
        """Where each user's events end."""
        return np.append(self.starts_S[1:], len(self.rows_N))

    @property
    def user_N(self) -> NDArray[np.int64]:
        """The user of each event."""
        return np.repeat(np.arange(len(self)), self.ends_S - self.starts_S)

    def only(self, keep_N: NDArray[np.bool_]) -> Sequences:
        """Some of the events; the users stay, some perhaps without any."""
        before = np.concatenate([[0], np.cumsum(keep_N)]).astype(np.int64)
        return Sequences(
            self.rows_N[keep_N],
            self.kinds_N[keep_N],
            self.ts_N[keep_N],
            self.ratings_N[keep_N],
            before[self.starts_S],
        )


@dataclass(frozen=True, slots=True)
class Windows:
    """Stretches of sequences: the events `begin` to `end`, of which the last is only a target."""

    begin_W: NDArray[np.int64]
    end_W: NDArray[np.int64]

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.begin_W)

    def take(self, index: NDArray[np.int64]) -> Windows:
        """Some of the windows."""
        return Windows(self.begin_W[index], self.end_W[index])

    def positions(self) -> int:
        """How many next items they ask for."""
        return int((self.end_W - self.begin_W - 1).sum())


def lay_out(
    user_N: NDArray[np.integer],
    rows_N: NDArray[np.integer],
    ts_N: NDArray[np.int64],
    kinds_N: NDArray[np.integer] | None = None,
    ratings_N: NDArray[np.floating] | None = None,
) -> Sequences:
    """Sort events by user, then time; equal times keep their order. Unknown items are left out.

    Examples
    --------
    >>> user, item = np.array([7, 3, 7, 7]), np.array([0, 1, -1, 2])
    >>> s = lay_out(user, item, np.array([10, 20, 30, 40]))
    >>> s.rows_N.tolist(), s.starts_S.tolist(), len(s)
    ([1, 0, 2], [0, 1], 2)
    """
    known = np.flatnonzero(rows_N >= 0)
    order = known[np.lexsort((ts_N[known], user_N[known]))]
    user = user_N[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = user[1:] != user[:-1]
    kinds = np.zeros(len(rows_N), np.int8) if kinds_N is None else kinds_N
    ratings = np.zeros(len(rows_N), np.float32) if ratings_N is None else ratings_N
    return Sequences(
        rows_N[order].astype(np.int32),
        kinds[order].astype(np.int8),
        ts_N[order].astype(np.int64),
        ratings[order].astype(np.float32),
        np.flatnonzero(first),
    )


def sequences_of(events: Sequence[Event], catalog: Catalog) -> Sequences:
    """The sequences of a log's events, which are in time order."""
    users: dict[str, int] = {}
    return lay_out(
        np.array([users.setdefault(e.user_id, len(users)) for e in events], np.int64),
        catalog.rows(e.item_id for e in events),
        np.array([e.ts_ms for e in events], np.int64),
        np.array([KIND_CODE[e.kind] for e in events], np.int8),
        np.array([e.rating or 0.0 for e in events], np.float32),
    )


def windows_of(sequences: Sequences, steps: int) -> Windows:
    """Cut every sequence into stretches of at most `steps` inputs, from its end backwards.

    Each event but a user's first is the target of one window's position.

    >>> s = lay_out(np.zeros(6, int), np.arange(6), np.arange(6))
    >>> w = windows_of(s, steps=3)
    >>> w.begin_W.tolist(), w.end_W.tolist()
    ([2, 0], [6, 3])
    """
    begin, end = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    start_S, end_S = sequences.starts_S, sequences.ends_S
    while True:
        more = end_S - start_S > 1
        if not more.any():
            return Windows(np.concatenate(begin), np.concatenate(end))
        start_S, end_S = start_S[more], end_S[more]
        begin_S = np.maximum(start_S, end_S - steps - 1)
        begin.append(begin_S)
        end.append(end_S)
        end_S = begin_S + 1


def last_windows(sequences: Sequences, at_N: NDArray[np.int64], steps: int) -> Windows:
    """For each of these events, the window that ends with it."""
    start_N = sequences.starts_S[sequences.user_N[at_N]]
    return Windows(np.maximum(start_N, at_N - steps), at_N + 1)


def shuffled(windows: Windows, batch: int, generator: np.random.Generator) -> Iterator[Windows]:
    """All windows once, in batches of about one length each, in random order."""
    order = generator.permutation(len(windows))
    length = (windows.end_W - windows.begin_W)[order]
    pool = np.arange(len(order)) // (POOL * batch)
    order = order[np.lexsort((length, pool))]
    parts = [order[i : i + batch] for i in range(0, len(order), batch)]
    for number in generator.permutation(len(parts)):
        yield windows.take(parts[number])
