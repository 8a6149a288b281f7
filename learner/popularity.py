"""Popularity decayed at several half-lives, in event time.

Legend: `H` half-lives, `I` catalogue rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learner.config import HALF_LIVES_S

SPARE = 4
"""So many times more tops are kept than are shown, as some may not be shown."""


class Popularity:
    """How often each item was taken of late, for several meanings of "of late".

    Examples
    --------
    >>> day_ms = 86_400_000
    >>> popularity = Popularity(half_lives_s=(86_400.0, float("inf")))
    >>> popularity.add(np.array([0, 0, 1]), np.array([0, 0, day_ms]), items=2)
    >>> popularity.counts_HI.tolist()
    [[1.0, 1.0], [2.0, 1.0]]
    """

    def __init__(self, half_lives_s: tuple[float, ...] = HALF_LIVES_S) -> None:
        self.half_lives_s = np.asarray(half_lives_s)
        self.now_ms = 0
        self._counts_HI = np.zeros((len(half_lives_s), 0))
        self._total_H1: NDArray[np.float64] | None = None
        self._tops: tuple[NDArray[np.int64], ...] = ()

    @property
    def counts_HI(self) -> NDArray[np.float64]:
        """Decayed event counts as of the newest event."""
        return self._counts_HI

    def reserve(self, items: int) -> None:
        """Make room for this many rows."""
        missing = items - self._counts_HI.shape[1]
        if missing > 0:
            self._counts_HI = np.pad(self._counts_HI, ((0, 0), (0, missing)))
            self._tops = ()

    def add(self, rows_N: NDArray[np.int32], ts_N: NDArray[np.int64], items: int) -> None:
        """Count events; one older than the newest seen so far weighs what it would by now."""
        self.reserve(items)
        if not len(rows_N):
            return
        newest_ms = max(self.now_ms, int(ts_N.max()))
        elapsed_s = (newest_ms - self.now_ms) / 1000.0 if self.now_ms else 0.0
        self._counts_HI *= np.exp2(-elapsed_s / self.half_lives_s)[:, None]
        self.now_ms = newest_ms
        self._total_H1, self._tops = None, ()
        age_N = (newest_ms - ts_N) / 1000.0
        for h, half_life_s in enumerate(self.half_lives_s):
            weight_N = np.exp2(-age_N / half_life_s)
            self._counts_HI[h] += np.bincount(rows_N, weight_N, minlength=self._counts_HI.shape[1])

    def fade(self, keep: float) -> None:
        """Let all that was counted so far weigh less than what comes.

        >>> popularity = Popularity(half_lives_s=(float("inf"),))
        >>> popularity.add(np.array([0, 0, 0, 0]), np.zeros(4, np.int64), items=2)
        >>> popularity.fade(0.25)
        >>> popularity.add(np.array([1, 1]), np.zeros(2, np.int64), items=2)
        >>> popularity.counts_HI.tolist()
        [[1.0, 2.0]]
        """
        self._counts_HI *= keep
        self._total_H1, self._tops = None, ()

    def shares(self, rows: NDArray[np.int32] | slice) -> NDArray[np.float32]:
        """The share of all events of these items, per half-life; zero where there was none."""
        if self._total_H1 is None:
            self._total_H1 = self._counts_HI.sum(axis=1, keepdims=True)
        counts = self._counts_HI[:, rows]
        total = self._total_H1.reshape(-1, *(1,) * (counts.ndim - 1))
        return np.asarray(counts / np.maximum(total, 1e-9), dtype=np.float32)

    def tops(self, allowed_I: NDArray[np.bool_], count: int) -> list[NDArray[np.int64]]:
        """Of each half-life the allowed rows with the highest counts; of equals the first rows.

        >>> popularity = Popularity(half_lives_s=(float("inf"),))
        >>> popularity.add(np.array([3, 3, 1]), np.zeros(3, np.int64), items=5)
        >>> [top.tolist() for top in popularity.tops(np.array([1, 0, 1, 1, 1], bool), 3)]
        [[3, 0, 2]]
        """
        wanted = min(SPARE * count, self._counts_HI.shape[1])
        if not self._tops or len(self._tops[0]) < wanted:
            self._tops = tuple(_highest(counts_I, wanted) for counts_I in self._counts_HI)
        found = []
        for counts_I, top_N in zip(self._counts_HI, self._tops, strict=True):
            here_N = top_N[top_N < len(allowed_I)]
            open_N = here_N[allowed_I[here_N]][:count]
            if len(open_N) < count:  # much is sold out, or filtered
                shown_I = np.where(allowed_I, counts_I[: len(allowed_I)], -1.0)
                open_N = _highest(shown_I, count)
                open_N = open_N[allowed_I[open_N]]
            found.append(open_N)
        return found

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps."""
        return {"counts_HI": self._counts_HI, "now_ms": np.array([self.now_ms])}

    def restore(
        self,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
        items: int,
    ) -> None:
        """Take a snapshot; its item `i` has the row `row_of_I[i]` here, negative if it is gone."""
        self._counts_HI = np.zeros((len(self.half_lives_s), items))
        kept_I = row_of_I >= 0
        self._counts_HI[:, row_of_I[kept_I]] = state["counts_HI"][:, kept_I]
        self._total_H1, self._tops = None, ()
        self.now_ms = int(state["now_ms"][0])


def _highest(counts_I: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Rows of the highest counts, falling; of equals the first rows."""
    count = min(count, len(counts_I))
    if count == 0:
        return np.zeros(0, np.int64)
    least = np.partition(counts_I, -count)[-count]
    above_N = np.flatnonzero(counts_I > least)
    equal_N = np.flatnonzero(counts_I == least)[: count - len(above_N)]
    rows_N = np.concatenate([above_N, equal_N])
    return rows_N[np.argsort(-counts_I[rows_N], kind="stable")]
