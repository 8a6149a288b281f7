"""Ranking metrics from the rank of one true item: HR, NDCG, Precision, Recall, MRR.

Legend: ``N`` ranked events. A rank is 1-based, may stand between two places where scores are tied,
and is ``inf`` for a miss, which earns nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RankN = NDArray[np.float64]
CodeN = NDArray[np.int32]
MaskN = NDArray[np.bool_]

COLD_USER_EVENTS = 3
"""A user with at most so many earlier events is cold."""

_RESAMPLES = 1000
"""Bootstrap draws: an interval's end moves by about 2 % of its width between seeds."""

_CHUNK = 2_000_000
"""Counts drawn at a time, 16 MB of them: larger is no faster."""


class RankingMetrics(NamedTuple):
    """Means over events; all NaN where there are none.

    With a single true item, recall@K is the hit rate and precision@K a K-th of it.
    """

    hr: float
    ndcg: float
    precision: float
    recall: float
    mrr: float
    events: int


def gains(rank: RankN, k: int = 10) -> RankN:
    """NDCG@k of each event: ``1 / log2(1 + rank)`` up to rank k, else 0.

    Examples
    --------
    >>> gains(np.array([1.0, 3.0, 11.0, np.inf])).tolist()
    [1.0, 0.5, 0.0, 0.0]
    """
    return np.where(rank <= k, 1.0 / np.log2(1.0 + rank), 0.0)


def ranking_metrics(rank: RankN, k: int = 10, mask: MaskN | None = None) -> RankingMetrics:
    """Average over the events, or over those in the mask.

    Examples
    --------
    >>> found = ranking_metrics(np.array([1.0, 3.0, 20.0, np.inf]))
    >>> found.hr, found.ndcg, found.precision, found.recall, found.events
    (0.5, 0.375, 0.05, 0.5, 4)
    >>> round(found.mrr, 4)
    0.3458
    """
    if mask is not None:
        rank = rank[mask]
    if not rank.size:
        return RankingMetrics(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    hr = float(np.mean(rank <= k))
    return RankingMetrics(
        hr=hr,
        ndcg=float(np.mean(gains(rank, k))),
        precision=hr / k,
        recall=hr,
        mrr=float(np.mean(1.0 / rank)),
        events=rank.size,
    )


def bootstrap_interval(
    value: RankN,
    user: CodeN,
    *,
    level: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of the mean over events, by drawing users with replacement.

    Events of one user hang together, so users are drawn, not events (Efron & Tibshirani, "An
    Introduction to the Bootstrap", 1993, percentile method). Pass `gains(rank)` for NDCG, or the
    difference of two models' gains for a paired comparison.

    Examples
    --------
    >>> bootstrap_interval(np.array([0.5, 0.5, 0.5]), np.array([4, 9, 9]))
    (0.5, 0.5)
    """
    if not value.size:
        return math.nan, math.nan
    _, which = np.unique(user, return_inverse=True)
    sum_U = np.bincount(which, value)
    size_U = np.bincount(which).astype(np.float64)
    users = sum_U.size
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _CHUNK // users)
    for first in range(0, resamples, step):
        draws = min(step, resamples - first)
        drawn = random.integers(0, users, (draws, users))
        means[first : first + draws] = sum_U[drawn].sum(axis=1) / size_U[drawn].sum(axis=1)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(low), float(high)


def cold_item_mask(item: CodeN, split: int) -> MaskN:
    """Which streamed events are of an item that the history, the first `split` events, has not.

    Examples
    --------
    >>> cold_item_mask(np.array([1, 2, 1, 3, 3]), split=2).tolist()
    [False, True, True]
    """
    return ~np.isin(item[split:], item[:split])


def cold_user_mask(user: CodeN, split: int, most: int = COLD_USER_EVENTS) -> MaskN:
    """Which streamed events are of a user with at most `most` earlier events in the whole log.

    Examples
    --------
    >>> cold_user_mask(np.array([7, 7, 7, 8, 7, 8]), split=2, most=1).tolist()
    [False, True, False, True]
    """
    order = np.argsort(user, kind="stable")
    sorted_N = user[order]
    starts = np.flatnonzero(np.r_[True, sorted_N[1:] != sorted_N[:-1]])[: user.size]
    sizes = np.diff(np.r_[starts, user.size])
    earlier = np.empty(user.size, np.int64)
    earlier[order] = np.arange(user.size) - np.repeat(starts, sizes)
    cold: MaskN = earlier[split:] <= most
    return cold


class RunningMean(NamedTuple):
    """A curve to plot: after so many events, the mean of the last ones."""

    events: NDArray[np.int64]
    mean: RankN


def running_mean(value: RankN, window: int = 2000, points: int = 500) -> RunningMean:
    """Mean over the last `window` events, at up to `points` evenly spaced places.

    Before the window is full, the mean is over all events so far.

    Examples
    --------
    >>> curve = running_mean(np.array([1.0, 0.0, 0.0, 1.0]), window=2, points=4)
    >>> curve.events.tolist(), curve.mean.tolist()
    ([1, 2, 3, 4], [1.0, 0.5, 0.0, 0.5])
    """
    if not value.size:
        return RunningMean(np.empty(0, np.int64), np.empty(0))
    places = np.unique(np.linspace(1, value.size, min(points, value.size)).round().astype(np.int64))
    total = np.r_[0.0, np.cumsum(value)]
    start = np.maximum(0, places - window)
    return RunningMean(places, (total[places] - total[start]) / (places - start))
