"""From probabilities to one sentiment, so that rare ones are found as well as common ones.

Legend: `K` reviews, `3` sentiments, `G` grid points.

The most probable sentiment is right most often, which finds few complaints where nearly all reviews
praise. F1 of each sentiment, averaged, is best with a factor for each one, found on the newest
reviews (as thresholds are, Lipton et al., "Thresholding classifiers to maximize F1 score", 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SIDE = 13
_TIMES = np.linspace(-1, 2, _SIDE)
"""Log factors of the rare sentiments, from .37 to 7.4 times."""

CHANCE = 0.005
"""A difference of macro-F1 that says little: a point that much worse counts 1/e of the best one."""

ENOUGH = 300
"""Reviews before which the factors are left at 1."""


def macro_f1(label_N: NDArray[np.int64], truth_N: NDArray[np.int64]) -> float:
    """The mean of the sentiments' F1; one that neither occurs nor is named counts 0.

    >>> round(macro_f1(np.array([0, 2, 2, 1]), np.array([0, 2, 1, 1])), 4)
    0.7778
    """
    both_33 = np.bincount(label_N * 3 + truth_N, minlength=9).reshape(3, 3)
    named_3, true_3 = both_33.sum(axis=1), both_33.sum(axis=0)
    return float((2 * np.diag(both_33) / np.maximum(named_3 + true_3, 1)).mean())


def best_factors(logit_K3: NDArray[np.float64], truth_K: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log factors of the three sentiments; the last one's is 0.

    The mean over a grid, where a point counts the more the better it is: the best point alone is
    chance.
    """
    if len(truth_K) < ENOUGH or len(np.unique(truth_K)) < 3:  # noqa: PLR2004
        return np.zeros(3)
    score = np.empty((_SIDE, _SIDE))
    for i, first in enumerate(_TIMES):
        for j, second in enumerate(_TIMES):
            label_K = (logit_K3 + (first, second, 0.0)).argmax(axis=1)
            score[i, j] = macro_f1(label_K, truth_K)
    weight = np.exp((score - score.max()) / CHANCE)
    weight /= weight.sum()
    return np.array([weight.sum(axis=1) @ _TIMES, weight.sum(axis=0) @ _TIMES, 0.0])
