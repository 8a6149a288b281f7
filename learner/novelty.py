"""How unlike everything they did before users act: a sign of drift that no model has a part in.

A model that follows quickly hides a change: its loss hardly rises when a season begins, because
what users just did tells what they do next. That they turn to something else shows all the same, in
the texts of the items.

Legend: `B` users, `T` past steps, `D` width of the text vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories

NEWEST_LEFT_OUT = 8
"""Newest steps that a new one isn't compared with: a change shows for as many events of each user,
instead of at the first one only. With many more, only frequent users speak."""

LEAST_OLDER = 4
"""Older steps without which everything would be new."""


def novelty(
    vectors_ID: NDArray[np.float32], past: Histories, target_B: NDArray[np.int32]
) -> NDArray[np.float64]:
    """1 - the largest cosine between the item acted on and the user's older ones.

    Users with fewer than `LEAST_OLDER` older steps, and items without text, are left out: the
    result may be shorter than `B`.

    Examples
    --------
    >>> tea_and_bikes = np.eye(2, dtype=np.float32)
    >>> rows = np.zeros((2, 16), np.int32)
    >>> zeros = np.zeros((2, 16))
    >>> past = Histories(rows, zeros, zeros, zeros, np.zeros(2), np.full(2, 16))
    >>> novelty(tea_and_bikes, past, np.array([0, 1])).tolist()
    [0.0, 1.0]
    """
    older_BT = past.rows_BT[:, : max(0, past.rows_BT.shape[1] - NEWEST_LEFT_OUT)]
    heard = np.flatnonzero((older_BT >= 0).sum(axis=1) >= LEAST_OLDER)
    if not len(heard):
        return np.zeros(0)
    rows_BT = older_BT[heard]
    cosine_BT = np.einsum(
        "btd,bd->bt", vectors_ID[np.maximum(rows_BT, 0)], vectors_ID[target_B[heard]]
    )
    nearest_B = np.where(rows_BT >= 0, cosine_BT, -1.0).max(axis=1)
    told_B = vectors_ID[target_B[heard]].any(axis=1)
    return np.asarray(1.0 - nearest_B[told_B], np.float64)
