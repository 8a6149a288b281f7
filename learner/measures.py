"""Ranks among candidates, and running means of what they are worth.

Legend: `B` users, `K` candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MISS = np.inf
"""The rank of a target that was not in the list at all."""


def ranks(
    score_BK: NDArray[np.float32], real_BK: NDArray[np.bool_], target_B: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The rank of each target, from 1; ties rank in the middle, an unreal target is a miss.

    >>> score = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]], np.float32)
    >>> real = np.array([[True] * 3, [True] * 3, [True, True, False]])
    >>> ranks(score, real, np.array([2, 0, 2])).tolist()
    [2.0, 2.0, inf]
    """
    line = np.arange(len(score_BK))
    own_B1 = score_BK[line, target_B][:, None]
    above_B = ((score_BK > own_B1) & real_BK).sum(axis=1)
    level_B = ((score_BK == own_B1) & real_BK).sum(axis=1) - 1
    return np.where(real_BK[line, target_B], 1 + above_B + level_B / 2, MISS)


def agreement(
    ours_BK: NDArray[np.float32],
    theirs_BK: NDArray[np.float32],
    real_BK: NDArray[np.bool_],
    top: int,
) -> NDArray[np.float64]:
    """Of each user's `top` best candidates by one score, the share that are so by the other.

    >>> ours, theirs = np.array([[3, 2, 1, 9]]), np.array([[1, 3, 2, 9]])
    >>> agreement(ours, theirs, np.array([[True, True, True, False]]), top=2).tolist()
    [0.5]
    """
    count_B = np.minimum(real_BK.sum(axis=1), top)
    line_B1 = np.arange(len(real_BK))[:, None]
    both_BK = np.ones(real_BK.shape, np.bool_)
    for score_BK in (ours_BK, theirs_BK):
        order_BK = np.argsort(-np.where(real_BK, score_BK, -np.inf), axis=1, kind="stable")
        best_BK = np.zeros(real_BK.shape, np.bool_)
        best_BK[line_B1, order_BK[:, :top]] = True
        both_BK &= best_BK
    share_B: NDArray[np.float64] = (both_BK & real_BK).sum(axis=1) / np.maximum(count_B, 1)
    return share_B


class DecayedMean:
    """A mean over the newest few: each value's weight halves with every `half_life` that follow.

    >>> mean = DecayedMean(half_life=1)
    >>> mean.add(np.array([0.0, 3.0]))
    >>> mean.value
    2.0
    """

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self.total = 0.0
        self.weight = 0.0

    @property
    def value(self) -> float:
        """The mean, 0 before the first value."""
        return self.total / self.weight if self.weight else 0.0

    def add(self, values_N: NDArray[np.float64]) -> None:
        """Add values in their order."""
        n = len(values_N)
        weight_N = np.exp2(-np.arange(n - 1, -1, -1) / self.half_life)
        fade = 2.0 ** (-n / self.half_life)
        self.total = self.total * fade + float(values_N @ weight_N)
        self.weight = self.weight * fade + float(weight_N.sum())
