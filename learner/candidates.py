"""Candidates: the union of what each expert would show, as sorted rows without repetition.

Legend: `B` users, `K` candidates, `T` past steps, `I` catalogue rows, `C` tops of one expert.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.catalog import UNKNOWN
from learner.batch import Histories
from learner.config import CandidateConfig
from learner.evidence import TOGETHER_FADE, pair_ids
from learner.experts import Experts
from learner.returns import newest_only

_NONE = np.iinfo(np.int32).max


def unique_rows(raw_BC: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sort each line and drop repetitions and negatives; short lines end in -1.

    >>> unique_rows(np.array([[3, 1, 3, -1], [2, 2, 2, 2]], np.int32)).tolist()
    [[1, 3], [2, -1]]
    """
    raw_BC = np.where(raw_BC < 0, _NONE, raw_BC)
    raw_BC.sort(axis=1)
    raw_BC[:, 1:][raw_BC[:, 1:] == raw_BC[:, :-1]] = _NONE
    K = int((raw_BC < _NONE).sum(axis=1).max(initial=0))
    raw_BC.sort(axis=1)
    rows_BK = raw_BC[:, : max(K, 1)]
    return np.where(rows_BK == _NONE, -1, rows_BK)


def popular_rows(experts: Experts, allowed_I: NDArray[np.bool_], count: int) -> NDArray[np.int32]:
    """The allowed tops of every half-life; events or not, the list is filled from the allowed."""
    return np.unique(np.concatenate(experts.popularity.tops(allowed_I, count))).astype(np.int32)


def _next_rows(
    experts: Experts, past: Histories, items: int, count: int
) -> list[NDArray[np.int32]]:
    """What most often followed each of the last three items."""
    lists = []
    for lag in range(min(3, past.rows_BT.shape[1])):
        table = experts.skipping if lag else experts.following
        source_B1 = past.rows_BT[:, -1 - lag, None]
        lists.append(pair_ids(table, source_B1, items)[:, 0, : count >> lag])
    return lists


def covisited_rows(experts: Experts, past: Histories, items: int, count: int) -> NDArray[np.int32]:
    """The items with the highest sums of cosines to a user's newest items, in no order."""
    window = experts.config.covisit_window
    newest_BT = np.where(newest_only(past.rows_BT), past.rows_BT, UNKNOWN)
    source_BW = newest_BT[:, ::-1][:, :window]
    at_BW = np.maximum(source_BW, 0)
    ids_BWM = pair_ids(experts.together, source_BW, items)
    weight_BWM = experts.together.weights_IM[at_BW] / np.sqrt(
        experts.taken_I[np.maximum(ids_BWM, 0)] + 1.0
    )
    weight_BWM *= TOGETHER_FADE ** np.arange(at_BW.shape[1], dtype=np.float32)[:, None]
    weight_BWM /= np.sqrt(experts.taken_I[at_BW] + 1.0)[:, :, None]
    B, E = len(past), ids_BWM.shape[1] * ids_BWM.shape[2]
    # Entries of one item side by side, in their order: an item and a place sort as one number.
    place_E, bits = np.arange(E), int(E).bit_length()
    key_BE = (ids_BWM.reshape(B, E).astype(np.int64) << bits) | place_E
    key_BE.sort(axis=1)
    ids_BE = key_BE >> bits
    line_B1 = np.arange(B)[:, None]
    sorted_BE = weight_BWM.reshape(B, E)[line_B1, key_BE & ((1 << bits) - 1)]
    first_BE = np.ones((B, E), np.bool_)
    first_BE[:, 1:] = ids_BE[:, 1:] != ids_BE[:, :-1]
    group_N = np.cumsum(first_BE.ravel()) - 1
    total_N = np.bincount(group_N, sorted_BE.ravel())
    score_BE = np.full((B, E), -1.0)
    score_BE[first_BE] = total_N
    score_BE[ids_BE < 0] = -1.0
    count = min(count, E)
    best_BC = np.argpartition(-score_BE, count - 1, axis=1)[:, :count]
    named_BC = score_BE[line_B1, best_BC] >= 0
    return np.where(named_BC, ids_BE[line_B1, best_BC], -1).astype(np.int32)


def gather_candidates(
    experts: Experts,
    past: Histories,
    allowed_I: NDArray[np.bool_],
    config: CandidateConfig,
    tops: Sequence[NDArray[np.int32]] = (),
) -> NDArray[np.int32]:
    """Name every user's candidates: (B, K) rows, -1 padded; `tops` are other experts' (B, C).

    A catalogue with few allowed items is taken whole.
    """
    B, items = len(past), len(allowed_I)
    if np.count_nonzero(allowed_I) <= config.all_items_below:
        allowed = np.flatnonzero(allowed_I).astype(np.int32)
        return np.broadcast_to(
            allowed if len(allowed) else np.full(1, -1, np.int32), (B, max(len(allowed), 1))
        )
    popular = popular_rows(experts, allowed_I, config.popular)
    own_BC = past.rows_BT[:, past.rows_BT.shape[1] - min(config.own, past.rows_BT.shape[1]) :]
    raw_BC = np.concatenate(
        [
            np.broadcast_to(popular, (B, len(popular))),
            own_BC,
            *_next_rows(experts, past, items, config.following),
            covisited_rows(experts, past, items, config.together),
            *tops,
        ],
        axis=1,
    )
    raw_BC = np.where((raw_BC >= 0) & allowed_I[np.maximum(raw_BC, 0)], raw_BC, -1)
    return unique_rows(raw_BC.astype(np.int32))
