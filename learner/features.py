"""What the learnt weights and nets see of each candidate, and the prior that they correct.

Legend: `B` users, `K` candidates, `F` features, `T` past steps, `H` half-lives, `I` catalogue rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import UNKNOWN
from learner.batch import Histories
from learner.evidence import TOGETHER_FADE, Places, pair_ids, pair_shares
from learner.experts import Experts
from learner.returns import newest_only

NAMES = (
    *("pop_6h", "pop_1d", "pop_7d", "pop_30d", "pop_ever", "pop_steep", "trend_day", "trend_hour"),
    *("next_1", "next_2", "next_3", "pair", "together", "cosine", "cosine_recent"),
    *("own", "own_count", "own_idle", "return_place", "return_age", "repeat_rate"),
    *("own_repeat_rate", "age", "idle", "unseen", "history", "gap", "session"),
    *("hour_sin", "hour_cos", "weekend", "semantic", "semantic_last", "behaviour", "behaviour_z"),
    "praised",
)
"""The features in their order, new ones last (`learner.grown`); the last five come from vectors."""

F = len(NAMES)
AT = {name: place for place, name in enumerate(NAMES)}

PRIOR = {"pop_30d": 1.5, "pop_ever": 1.5, "pair": 1.0, "cosine": 2.0, "semantic": 3.0}
"""The prior's weights: a fixed blend that is hard to beat on shop logs (see EXPERIMENTS.md)."""

POP_FLOOR, POP_STEEP_FLOOR = 0.5, 0.02
"""The popularity of an item without events, in shares of the mean item's: lower makes the first
event count for more, and keeps new items from ever being shown."""

PAIR_FLOOR = 2e-3
"""The transition probability of an unseen pair: lower trusts a single co-visit more."""

COSINE_FLOOR = 1e-2
"""The same for cosines, which are larger."""

SESSION_S = 1800.0
"""A shorter gap than this belongs to the same visit."""

DAY_S, WEEK_S = 86_400.0, 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Described:
    """Candidates with their features and their prior."""

    features_BKF: NDArray[np.float32]
    prior_BK: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Words:
    """What vectors say of candidates: likeness to items of late, at last, praised; transformer."""

    semantic_BK: NDArray[np.float32]
    semantic_last_BK: NDArray[np.float32]
    praised_BK: NDArray[np.float32]
    behaviour_BK: NDArray[np.float32]


def describe(
    experts: Experts,
    past: Histories,
    rows_BK: NDArray[np.int32],
    *,
    real_BK: NDArray[np.bool_],
    words: Words,
    items: int,
) -> Described:
    """Compute every candidate's features and prior; a padded candidate's are zero or unused.

    An unreal one, listed only so that it can be learnt, changes nothing of the others.
    """
    B, K = rows_BK.shape
    x = np.zeros((F, B, K), np.float32)
    at_BK = np.maximum(rows_BK, 0)
    places = Places(rows_BK, items)
    newest_BT = newest_only(past.rows_BT)
    _popularity(x, experts, at_BK, items)
    _pairs(x, experts, past, newest_BT=newest_BT, places=places, at_BK=at_BK)
    _own(x, experts, past, newest_BT=newest_BT, places=places, at_BK=at_BK)
    _times(x, experts, past, at_BK)
    x[AT["semantic"]] = words.semantic_BK
    x[AT["semantic_last"]] = words.semantic_last_BK
    x[AT["praised"]] = words.praised_BK
    _behaviour(x, words.behaviour_BK, real_BK)
    prior_BK = np.zeros((B, K), np.float32)
    for name, weight in PRIOR.items():
        prior_BK += np.float32(weight) * x[AT[name]]
    return Described(np.ascontiguousarray(x.transpose(1, 2, 0)), prior_BK)


def with_behaviour(
    features_BKF: NDArray[np.float32],
    behaviour_BK: NDArray[np.float32],
    real_BK: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """The same features with what another transformer says."""
    features_BKF = features_BKF.copy()
    _behaviour(features_BKF.transpose(2, 0, 1), behaviour_BK, real_BK)
    return features_BKF


def _behaviour(
    x: NDArray[np.float32], behaviour_BK: NDArray[np.float32], real_BK: NDArray[np.bool_]
) -> None:
    x[AT["behaviour"]] = behaviour_BK / 4.0
    x[AT["behaviour_z"]] = _standardised(behaviour_BK, real_BK)


def _popularity(
    x: NDArray[np.float32], experts: Experts, at_BK: NDArray[np.int32], items: int
) -> None:
    """Popularity at each half-life, and its trend."""
    few = items <= at_BK.size  # then logarithms of all items are fewer than of all candidates
    ratio = experts.popularity.shares(slice(items) if few else at_BK) * np.float32(items)
    log, steep = np.log(ratio / POP_FLOOR + 1.0), np.log(ratio[3] / POP_STEEP_FLOOR + 1.0)
    pop_HBK = log[:, at_BK] if few else log
    x[AT["pop_6h"] : AT["pop_ever"] + 1] = pop_HBK / 4.0
    x[AT["pop_steep"]] = (steep[at_BK] if few else steep) / 4.0
    x[AT["trend_day"]] = (pop_HBK[1] - pop_HBK[3]) / 2.0
    x[AT["trend_hour"]] = (pop_HBK[0] - pop_HBK[2]) / 2.0


def _pairs(
    x: NDArray[np.float32],
    experts: Experts,
    past: Histories,
    *,
    newest_BT: NDArray[np.bool_],
    places: Places,
    at_BK: NDArray[np.int32],
) -> None:
    """What follows the last items, and what is visited together with the newest ones."""
    items = places.at_BI.shape[1]
    flat = (len(past), -1)
    recent_BT = past.rows_BT[:, ::-1]
    for lag, name in enumerate(("next_1", "next_2", "next_3")):
        table = experts.skipping if lag else experts.following
        ids, share = pair_shares(table, recent_BT[:, lag : lag + 1], items)
        x[AT[name]] = _log_pair(places.spread(ids.reshape(flat), share.reshape(flat)))
    window = experts.config.covisit_window
    source_BW = np.where(newest_BT, past.rows_BT, UNKNOWN)[:, ::-1][:, :window]
    at_BW = np.maximum(source_BW, 0)
    table = experts.together
    place = places.flat(pair_ids(table, source_BW, items).reshape(flat))
    fade_W = (TOGETHER_FADE ** np.arange(window, dtype=np.float32))[: source_BW.shape[1], None]
    weight_BWM = table.weights_IM[at_BW]
    share_BWM = weight_BWM * (fade_W / (table.degrees_I[at_BW] + 1.0)[:, :, None])
    x[AT["together"]] = _log_pair(places.summed(place, share_BWM))
    cosine_BWM = weight_BWM / np.sqrt(experts.taken_I[at_BW] + 1.0)[:, :, None]
    root_BK = np.sqrt(experts.taken_I[at_BK] + 1.0)
    for name, weighed in (("cosine", cosine_BWM), ("cosine_recent", cosine_BWM * fade_W)):
        x[AT[name]] = np.log(places.summed(place, weighed) / root_BK / COSINE_FLOOR + 1.0) / 3.0
    x[AT["pair"]] = np.maximum(x[AT["next_1"]], x[AT["together"]])


def _own(
    x: NDArray[np.float32],
    experts: Experts,
    past: Histories,
    *,
    newest_BT: NDArray[np.bool_],
    places: Places,
    at_BK: NDArray[np.int32],
) -> None:
    """The user's own past with the item, and the item's habit of being taken again."""
    own_BK = places.spread(past.rows_BT, np.ones(past.rows_BT.shape, np.float32))
    had_BK = own_BK > 0
    since_BT = ((past.now_B[:, None] - past.ts_BT) / 1000.0).astype(np.float32)
    newest = places.flat(np.where(newest_BT, past.rows_BT, UNKNOWN))
    idle_BK = places.summed(newest, since_BT)
    by_place_BT, by_age_BT = experts.returns.shares_BT(past)
    repeat_BK = experts.repeated_I[at_BK] / (experts.taken_I[at_BK] + 5.0)
    x[AT["own"]] = had_BK
    x[AT["own_count"]] = np.log1p(own_BK)
    x[AT["own_idle"]] = np.where(had_BK, _log_s(idle_BK), 0.0)
    x[AT["return_place"]] = _log_pair(places.summed(newest, by_place_BT))
    x[AT["return_age"]] = _log_pair(places.summed(newest, by_age_BT))
    x[AT["repeat_rate"]] = repeat_BK
    x[AT["own_repeat_rate"]] = had_BK * repeat_BK


def _times(
    x: NDArray[np.float32], experts: Experts, past: Histories, at_BK: NDArray[np.int32]
) -> None:
    """The item's age and idleness, the user's length of history and gap, hour and weekday."""
    now_B1 = past.now_B[:, None]
    known_BK = experts.taken_I[at_BK] > 0
    x[AT["age"]] = np.where(known_BK, _log_s((now_B1 - experts.first_ms_I[at_BK]) / 1000.0), 0.0)
    x[AT["idle"]] = np.where(known_BK, _log_s((now_B1 - experts.last_ms_I[at_BK]) / 1000.0), 0.0)
    x[AT["unseen"]] = ~known_BK
    gap_B = past.gaps_B()
    x[AT["history"]] = (np.log1p(past.lengths_B) / 3.0)[:, None]
    x[AT["gap"]] = _log_s(gap_B)[:, None]
    x[AT["session"]] = ((gap_B < SESSION_S) & (past.lengths_B > 0))[:, None]
    turn_B1 = 2 * np.pi * (now_B1 / 1000.0 % DAY_S) / DAY_S
    x[AT["hour_sin"]] = np.sin(turn_B1)
    x[AT["hour_cos"]] = np.cos(turn_B1)
    # The epoch was a Thursday: days 2 and 3 of its weeks are Saturday and Sunday.
    x[AT["weekend"]] = (now_B1 / 1000.0 % WEEK_S // DAY_S - 2) // 2 == 0


def _log_pair(share: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return np.asarray(np.log(share / PAIR_FLOOR + 1.0) / 3.0)


def _log_s(seconds: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return np.asarray(np.log1p(np.maximum(seconds, 0.0) / 60.0) / 8.0)


def _standardised(score_BK: NDArray[np.float32], real_BK: NDArray[np.bool_]) -> NDArray[np.float32]:
    n_B1 = np.maximum(real_BK.sum(axis=1, keepdims=True), 1)
    mean_B1 = (score_BK * real_BK).sum(axis=1, keepdims=True) / n_B1
    off_BK = score_BK - mean_B1
    spread_B1 = np.sqrt((off_BK**2 * real_BK).sum(axis=1, keepdims=True) / n_B1)
    return np.asarray(off_BK / (spread_B1 + 0.1), np.float32)
