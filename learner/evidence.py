"""Evidence of pairs: how much the past items of a user speak for each candidate.

Legend: `B` users, `K` candidates, `L` past items, `M` neighbours, `E` entries, `I` catalogue rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.neighbours import Neighbours

SHRUNK_BY = 1.0
"""Events that a pair's probability is shrunk by: without, one event would mean certainty."""

TOGETHER_FADE = np.float32(0.8)
"""How much less each older step of a history says, of co-visits and of texts."""


class Places:
    """Where each candidate stands in its user's line: the inverse of `rows_BK`.

    >>> places = Places(np.array([[7, 2, -1]], np.int32), items=9)
    >>> places.spread(np.array([[2, 2, 5]]), np.array([[1.0, 0.5, 9.0]])).tolist()
    [[0.0, 1.5, 0.0]]
    """

    def __init__(self, rows_BK: NDArray[np.int32], items: int) -> None:
        B, self.K = rows_BK.shape
        self.at_BI = np.zeros((B, items), np.int32)
        self.line_B1 = np.arange(B)[:, None]
        b, k = np.nonzero(rows_BK >= 0)
        self.at_BI[b, rows_BK[b, k]] = k + 1

    def spread(
        self, ids_BE: NDArray[np.int32], weight_BE: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Sum the weights of each candidate's entries; other entries are dropped."""
        return self.summed(self.flat(ids_BE), weight_BE)

    def flat(self, ids_BE: NDArray[np.int32]) -> NDArray[np.int64]:
        """Where each entry is summed: to be used with several weights."""
        place_BE = np.where(ids_BE >= 0, self.at_BI[self.line_B1, np.maximum(ids_BE, 0)], 0)
        return np.asarray((place_BE + self.line_B1 * (self.K + 1)).ravel())

    def summed(
        self, flat_N: NDArray[np.int64], weight_BE: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Sum weights at places that `flat` gave."""
        size = len(self.line_B1) * (self.K + 1)
        total = np.bincount(flat_N, weight_BE.ravel(), minlength=size)
        return total.reshape(-1, self.K + 1)[:, 1:].astype(np.float32)


def pair_shares(
    table: Neighbours, source_BL: NDArray[np.int32], items: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The neighbours of past items and their probabilities: two (B, L, M) arrays."""
    ids = pair_ids(table, source_BL, items)
    at_BL = np.maximum(source_BL, 0)
    share = table.weights_IM[at_BL] / (table.degrees_I[at_BL] + SHRUNK_BY)[:, :, None]
    return ids, share


def pair_ids(table: Neighbours, source_BL: NDArray[np.int32], items: int) -> NDArray[np.int32]:
    """The neighbours of past items, (B, L, M); none, and those without a row yet, are -1."""
    ids = table.ids_IM[np.maximum(source_BL, 0)]
    return np.where((source_BL >= 0)[:, :, None] & (ids < items), ids, -1)
