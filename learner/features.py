"""What the correction net sees of each candidate, and the prior that it corrects.

Legend: `B` users, `K` candidates, `F` features, `T` past steps, `H` half-lives, `E` entries,
`I` catalogue rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories
from learner.experts import NEXT_LAGS, Experts
from learner.neighbours import Neighbours

NAMES = (
    *("pop_6h", "pop_1d", "pop_7d", "pop_30d", "pop_ever", "trend_day", "trend_hour"),
    *("next_1", "next_2", "next_3", "together", "together_cosine"),
    *("own", "own_count", "own_idle", "repeat_rate", "own_repeat_rate"),
    *("age", "idle", "history", "gap", "session", "semantic", "behaviour", "behaviour_z"),
)
"""The features in their order; `semantic` and `behaviour` come from the vectors."""

F = len(NAMES)
SEMANTIC, BEHAVIOUR, BEHAVIOUR_Z = (
    NAMES.index(name) for name in ("semantic", "behaviour", "behaviour_z")
)

POP_FLOOR = 0.5
"""The popularity of an item without events, in shares of the mean item's: lower makes the first
event count for more, and keeps new items from ever being shown."""

PAIR_FLOOR = 2e-3
"""The transition probability of an unseen pair: lower trusts a single co-visit more."""

PAIR_PRIOR = 1.0
"""Events that a pair's probability is shrunk by: without, one event would mean certainty."""

TOGETHER_FADE = np.float32(0.8)
"""How much less each older step says in `together` and in `semantic`."""

SESSION_S = 1800.0
"""A shorter gap than this belongs to the same visit."""

PRIOR_POP, PRIOR_PAIR, PRIOR_SEMANTIC = 1.0, 2.0, 4.0
"""The prior's weights: a fixed blend that is hard to beat on shop logs (see EXPERIMENTS.md)."""


@dataclass(frozen=True, slots=True)
class Described:
    """Candidates with their features and their prior."""

    features_BKF: NDArray[np.float32]
    prior_BK: NDArray[np.float32]


class _Places:
    """Where each candidate stands in its user's line: the inverse of `rows_BK`."""

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
        place_BE = np.where(ids_BE >= 0, self.at_BI[self.line_B1, np.maximum(ids_BE, 0)], 0)
        flat = (place_BE + self.line_B1 * (self.K + 1)).ravel()
        size = len(self.line_B1) * (self.K + 1)
        total = np.bincount(flat, weight_BE.ravel(), minlength=size)
        return total.reshape(-1, self.K + 1)[:, 1:].astype(np.float32)


def pair_shares(
    table: Neighbours, source_BL: NDArray[np.int32], items: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The neighbours of past items and their probabilities: two (B, L, M) arrays."""
    known_BL = source_BL >= 0
    source_BL = np.maximum(source_BL, 0)
    ids = table.ids_IM[source_BL]
    ids = np.where(known_BL[:, :, None] & (ids < items), ids, -1)
    share = table.weights_IM[source_BL] / (table.degrees_I[source_BL] + PAIR_PRIOR)[:, :, None]
    return ids, share


def _log_pop(share_HI: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return np.asarray(np.log(share_HI * (share_HI.shape[1] / POP_FLOOR) + 1.0))


def _log_pair(share: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return np.asarray(np.log(share / PAIR_FLOOR + 1.0))


def _log_s(seconds: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return np.asarray(np.log1p(np.maximum(seconds, 0.0) / 60.0) / 8.0)


def describe(
    experts: Experts,
    past: Histories,
    rows_BK: NDArray[np.int32],
    *,
    real_BK: NDArray[np.bool_],
    semantic_BK: NDArray[np.float32],
    behaviour_BK: NDArray[np.float32],
    items: int,
) -> Described:
    """Compute every candidate's features and prior; a padded candidate's are zero or unused.

    An unreal one, listed only so that it can be learnt, changes nothing of the others.
    """
    B, K = rows_BK.shape
    x = np.zeros((F, B, K), np.float32)
    at_BK = np.maximum(rows_BK, 0)
    places = _Places(rows_BK, items)
    recent_BT = past.rows_BT[:, ::-1]

    # 1. Popularity at each half-life, and its trend.
    log_pop_HI = _log_pop(experts.popularity.shares_HI()[:, :items])
    pop_HBK = log_pop_HI[:, at_BK]
    x[0:5] = pop_HBK / 4.0
    x[5] = (pop_HBK[1] - pop_HBK[3]) / 2.0
    x[6] = (pop_HBK[0] - pop_HBK[2]) / 2.0

    # 2. What follows the last items, and what is visited together with the last ones.
    lags = min(NEXT_LAGS, recent_BT.shape[1])
    ids_BLM, share_BLM = pair_shares(experts.following, recent_BT[:, :lags], items)
    for lag in range(lags):
        x[7 + lag] = _log_pair(places.spread(ids_BLM[:, lag], share_BLM[:, lag])) / 3.0
    window = experts.config.covisit_window
    ids_BWM, share_BWM = pair_shares(experts.together, recent_BT[:, :window], items)
    share_BWM *= (TOGETHER_FADE ** np.arange(ids_BWM.shape[1], dtype=np.float32))[:, None]
    flat = (B, -1)
    together_BK = places.spread(ids_BWM.reshape(flat), share_BWM.reshape(flat))
    x[10] = _log_pair(together_BK) / 3.0
    degree_BK = experts.together.degrees_I[at_BK]
    x[11] = _log_pair(together_BK / np.sqrt(degree_BK / 10.0 + 1.0)) / 3.0

    # 3. The user's own past with the item, and the item's habit of being taken again.
    one_BT = np.ones(past.rows_BT.shape, np.float32)
    own_BK = places.spread(past.rows_BT, one_BT)
    had_BK = own_BK > 0
    newest_BT = _newest_only(past.rows_BT)
    since_BT = ((past.now_B[:, None] - past.ts_BT) / 1000.0).astype(np.float32)
    own_idle_BK = places.spread(np.where(newest_BT, past.rows_BT, -1), since_BT)
    taken_BK = experts.taken_I[at_BK]
    repeat_BK = experts.repeated_I[at_BK] / (taken_BK + 5.0)
    x[12] = had_BK
    x[13] = np.log1p(own_BK)
    x[14] = np.where(had_BK, _log_s(own_idle_BK), 0.0)
    x[15] = repeat_BK
    x[16] = had_BK * repeat_BK

    # 4. Time: the item's age and idleness, the user's length of history and gap.
    now_B1 = past.now_B[:, None]
    known_BK = taken_BK > 0
    x[17] = np.where(known_BK, _log_s((now_B1 - experts.first_ms_I[at_BK]) / 1000.0), 0.0)
    x[18] = np.where(known_BK, _log_s((now_B1 - experts.last_ms_I[at_BK]) / 1000.0), 0.0)
    gap_B = past.gaps_B()
    x[19] = (np.log1p(past.lengths_B) / 3.0)[:, None]
    x[20] = _log_s(gap_B)[:, None]
    x[21] = ((gap_B < SESSION_S) & (past.lengths_B > 0))[:, None]

    # 5. The vectors' words.
    x[SEMANTIC] = semantic_BK
    x[BEHAVIOUR] = behaviour_BK / 4.0
    x[BEHAVIOUR_Z] = _standardised(behaviour_BK, real_BK)

    pair_BK = np.maximum(x[7], x[10]) * 3.0
    prior_BK = PRIOR_POP * pop_HBK[3] + PRIOR_PAIR * pair_BK + PRIOR_SEMANTIC * semantic_BK
    return Described(np.ascontiguousarray(x.transpose(1, 2, 0)), prior_BK.astype(np.float32))


def _newest_only(rows_BT: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether a step is the newest of its item in its history."""
    T = rows_BT.shape[1]
    later_BTT = (rows_BT[:, :, None] == rows_BT[:, None, :]) & np.triu(np.ones((T, T), bool), 1)
    return np.asarray(~later_BTT.any(axis=2) & (rows_BT >= 0))


def _standardised(score_BK: NDArray[np.float32], real_BK: NDArray[np.bool_]) -> NDArray[np.float32]:
    n_B1 = np.maximum(real_BK.sum(axis=1, keepdims=True), 1)
    mean_B1 = (score_BK * real_BK).sum(axis=1, keepdims=True) / n_B1
    off_BK = score_BK - mean_B1
    spread_B1 = np.sqrt((off_BK**2 * real_BK).sum(axis=1, keepdims=True) / n_B1)
    return np.asarray(off_BK / (spread_B1 + 0.1), np.float32)
