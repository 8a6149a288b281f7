"""Candidates: the union of what each expert would show, as sorted rows without repetition.

Legend: `B` users, `K` candidates, `T` past steps, `I` catalogue rows, `C` tops of one expert.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories
from learner.config import CandidateConfig
from learner.experts import Experts
from learner.neighbours import Neighbours

_NONE = np.iinfo(np.int32).max

_LISTED = ((1, 32), (2, 16), (3, 12), (10, 6))
"""How long the neighbour lists are that are taken: up to this lag, this many."""


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
    counts_HI = np.where(allowed_I, experts.popularity.counts_HI[:, : len(allowed_I)], -1.0)
    count = min(count, int(allowed_I.sum()))
    if count == 0:
        return np.zeros(0, np.int32)
    order_HC = np.argsort(-counts_HI, axis=1, kind="stable")[:, :count]
    return np.unique(order_HC).astype(np.int32)


def _listed(table: Neighbours, past: Histories, items: int) -> list[NDArray[np.int32]]:
    lists = []
    first = 0
    for lag, length in _LISTED:
        source_BL = past.rows_BT[:, ::-1][:, first:lag]
        ids = table.ids_IM[np.maximum(source_BL, 0), :length]
        ids = np.where((source_BL >= 0)[:, :, None] & (ids < items), ids, -1)
        lists.append(ids.reshape(len(past), -1))
        first = lag
    return lists


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
    allowed = np.flatnonzero(allowed_I).astype(np.int32)
    if len(allowed) <= config.all_items_below:
        return np.broadcast_to(
            allowed if len(allowed) else np.full(1, -1, np.int32), (B, max(len(allowed), 1))
        )
    popular = popular_rows(experts, allowed_I, config.popular)
    own_BC = past.rows_BT[:, past.rows_BT.shape[1] - min(config.own, past.rows_BT.shape[1]) :]
    raw_BC = np.concatenate(
        [
            np.broadcast_to(popular, (B, len(popular))),
            own_BC,
            *_listed(experts.following, past, items)[:3],
            *_listed(experts.together, past, items),
            *tops,
        ],
        axis=1,
    )
    raw_BC = np.where((raw_BC >= 0) & allowed_I[np.maximum(raw_BC, 0)], raw_BC, -1)
    return unique_rows(raw_BC.astype(np.int32))
