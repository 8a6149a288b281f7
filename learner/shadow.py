"""The learner's shadows: popularity and co-visitation, ranked beside it on every micro-batch.

Legend: `B` users, `T` past steps, `I` catalogue rows, `H` half-lives, `M` neighbours.

They read the learner's own counts, which are exact for popularity and bounded lists for pairs, and
they read them before the micro-batch is learnt, as the learner does. Ties rank in the middle. Where
a shop has no repeats, what a user had in the steps that are kept is left out of every ranking; what
is older, and known by code only, is left out of the learner's but not of theirs.
(`learner.baselines` has the full line-up, with memory of its own, for offline tables.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories
from learner.experts import Experts
from learner.measures import MISS

WEEK = 2
"""The half-life of the popularity that is always shown beside the learner: 7 days."""


def popularity_ranks(
    experts: Experts,
    past: Histories,
    target_B: NDArray[np.int32],
    allowed_I: NDArray[np.bool_],
    half_life: int = WEEK,
) -> NDArray[np.float64]:
    """Ranks by popularity at one of the half-lives."""
    count_I = experts.popularity.counts_HI[half_life, : len(allowed_I)]
    ordered = np.sort(count_I[allowed_I])
    own_B = count_I[target_B]
    above_B = len(ordered) - np.searchsorted(ordered, own_B, "right")
    level_B = len(ordered) - np.searchsorted(ordered, own_B, "left") - above_B - 1
    allowed_B = allowed_I[target_B]
    if not experts.offers_again:
        own_BT = past.rows_BT
        counted_BT = first_of_each(own_BT) & allowed_I[np.maximum(own_BT, 0)]
        had_BT = np.where(counted_BT, count_I[np.maximum(own_BT, 0)], -1.0)
        above_B = above_B - (had_BT > own_B[:, None]).sum(axis=1)
        level_B = level_B - (had_BT == own_B[:, None]).sum(axis=1)
        allowed_B = allowed_B & ~(own_BT == target_B[:, None]).any(axis=1)
    return np.where(allowed_B, 1 + above_B + level_B / 2, MISS)


def covisit_ranks(
    experts: Experts,
    past: Histories,
    target_B: NDArray[np.int32],
    allowed_I: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Ranks by how often an item followed the user's last one; all others tie behind."""
    last_B = past.rows_BT[:, -1]
    table = experts.following
    ids_BM = table.ids_IM[np.maximum(last_B, 0)]
    use_BM = (last_B >= 0)[:, None] & (ids_BM >= 0) & (ids_BM < len(allowed_I))
    use_BM &= allowed_I[np.where(use_BM, ids_BM, 0)]
    allowed_B = allowed_I[target_B]
    if not experts.offers_again:
        use_BM &= ~(ids_BM[:, :, None] == past.rows_BT[:, None, :]).any(axis=2)
        allowed_B = allowed_B & ~(past.rows_BT == target_B[:, None]).any(axis=1)
    weight_BM = np.where(use_BM, table.weights_IM[np.maximum(last_B, 0)], 0.0)
    own_B = (weight_BM * (ids_BM == target_B[:, None])).sum(axis=1)
    above_B = (weight_BM > own_B[:, None]).sum(axis=1)
    level_B = (weight_BM == own_B[:, None]).sum(axis=1) - 1
    rest_B = allowed_I.sum() - use_BM.sum(axis=1)
    behind_B = use_BM.sum(axis=1) + (rest_B - 1) / 2
    rank_B = 1 + np.where(own_B > 0, above_B + level_B / 2, behind_B)
    return np.where(allowed_B, rank_B, MISS)


def first_of_each(rows_BT: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Marks one step of each distinct known item in a history.

    >>> first_of_each(np.array([[-1, 4, 5, 4]], np.int32)).tolist()
    [[False, True, True, False]]
    """
    T = rows_BT.shape[1]
    same_BTT = rows_BT[:, :, None] == rows_BT[:, None, :]
    earlier_BTT = same_BTT & np.tril(np.ones((T, T), np.bool_), -1)
    return np.asarray((rows_BT >= 0) & ~earlier_BTT.any(axis=2))
