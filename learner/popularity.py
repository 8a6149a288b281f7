"""Popularity decayed at several half-lives, in event time.

Legend: `H` half-lives, `I` catalogue rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learner.config import HALF_LIVES_S


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

    @property
    def counts_HI(self) -> NDArray[np.float64]:
        """Decayed event counts as of the newest event."""
        return self._counts_HI

    def reserve(self, items: int) -> None:
        """Make room for this many rows."""
        missing = items - self._counts_HI.shape[1]
        if missing > 0:
            self._counts_HI = np.pad(self._counts_HI, ((0, 0), (0, missing)))

    def add(self, rows_N: NDArray[np.int32], ts_N: NDArray[np.int64], items: int) -> None:
        """Count events; one older than the newest seen so far weighs what it would by now."""
        self.reserve(items)
        if not len(rows_N):
            return
        newest_ms = max(self.now_ms, int(ts_N.max()))
        elapsed_s = (newest_ms - self.now_ms) / 1000.0 if self.now_ms else 0.0
        self._counts_HI *= np.exp2(-elapsed_s / self.half_lives_s)[:, None]
        self.now_ms = newest_ms
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

    def shares_HI(self) -> NDArray[np.float32]:
        """Each item's share of all events, per half-life; zero where there was none."""
        total_H1 = self._counts_HI.sum(axis=1, keepdims=True)
        return np.asarray(self._counts_HI / np.maximum(total_H1, 1e-9), dtype=np.float32)

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
        self.now_ms = int(state["now_ms"][0])
