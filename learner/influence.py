"""Influence: how much one user may teach by doing the same thing again and again.

Legend: `B` examples, `T` past steps.

An event that repeats what its user did just now teaches with a chance that halves with every
repetition beyond a few. What doesn't teach is still ranked, and still is in the user's history; it
counts in no popularity, pair or return, and no step is taken on it. A bot at one item thus weighs
what an eager shopper does, however often it clicks: nearly `FREE` + 2 per `HALF_LIFE_S`.

There is nothing to remember here: every example brings its user's newest steps along. Many new
users that conspire at one item are held back by `learner.trust`, what makes all lists worse by the
gate (`learner.gate`). One user that walks about among many items is not stopped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories

FREE = 8.0
"""Recent repetitions that cost nothing: people do compare, reload, and go back and forth. Where
histories are short, a quarter of their length, or nobody could ever pass it."""

HALF_LIFE_S = 3_600.0
"""Age at which an earlier event at the item is half forgotten: tomorrow it's a habit, not a bot."""


def repetitions_B(past: Histories, target_B: NDArray[np.int32]) -> NDArray[np.float64]:
    """How often each example's user was at its item of late, older times counting less.

    >>> past = Histories(np.array([[4, 4, 7]], np.int32), np.zeros((1, 3), np.int8),
    ...                  np.array([[0, 3_600_000, 0]]), np.zeros((1, 3), np.float32),
    ...                  np.array([3_600_000]), np.array([3]))
    >>> repetitions_B(past, np.array([4], np.int32)).tolist()
    [1.5]
    """
    age_BT = np.maximum(past.now_B[:, None] - past.ts_BT, 0) / 1000.0
    same_BT = past.rows_BT == target_B[:, None]
    return np.asarray((same_BT * np.exp2(-age_BT / HALF_LIFE_S)).sum(axis=1))


def teaching_B(
    past: Histories, target_B: NDArray[np.int32], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Which examples teach. Where nobody repeats much, all do, and nothing is drawn."""
    free = min(FREE, past.rows_BT.shape[1] / 4)
    excess_B = repetitions_B(past, target_B) - free
    teaches_B = np.asarray(excess_B <= 0)
    doubtful = np.flatnonzero(~teaches_B)
    if len(doubtful):
        teaches_B[doubtful] = generator.random(len(doubtful)) < np.exp2(-excess_B[doubtful])
    return teaches_B
