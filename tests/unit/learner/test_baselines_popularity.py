"""Popularity: who is on top, and when that changes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from learner.baselines.full_ranking import RankingConfig
from learner.baselines.popularity import DAY_MS, DecayedCounts, Popularity
from learner.baselines.protocol import Events

TEA, POT, CUP, UNSEEN = 0, 1, 2, 3


def log(items: list[int], days: list[float]) -> Events:
    """One user per event."""
    users = np.arange(len(items), dtype=np.int32)
    return Events(
        user=users,
        item=np.array(items, np.int32),
        kind=np.zeros(len(items), np.int8),
        ts_ms=(np.array(days) * DAY_MS).astype(np.int64),
        session=users,
    )


def rank_of_each(model: Popularity, items: list[int], day: float) -> list[float]:
    ranks: list[float] = model.rank(log(items, [day] * len(items))).tolist()
    return ranks


def test_for_ever_ranks_by_plain_counts_with_ties_in_the_middle() -> None:
    model = Popularity(RankingConfig(n_items=4), math.inf)
    model.learn(log([TEA, TEA, POT, CUP], [0, 1, 400, 401]))
    # Tea has 2; pot and cup have 1 each and share places 2 and 3.
    assert rank_of_each(model, [TEA, POT, CUP], 402) == [1.0, 2.5, 2.5]


def test_a_short_half_life_prefers_what_is_new() -> None:
    events = log([TEA, TEA, POT], [0, 0, 2])
    fading, plain = (Popularity(RankingConfig(n_items=4), days) for days in (1.0, math.inf))
    fading.learn(events)
    plain.learn(events)
    # Two days on, tea's 2 are worth 2 / 2**2 = 0.5, less than pot's 1.
    assert rank_of_each(fading, [POT, TEA], 2) == [1.0, 2.0]
    assert rank_of_each(plain, [POT, TEA], 2) == [2.0, 1.0]


def test_old_items_keep_their_order_long_after_they_faded() -> None:
    model = Popularity(RankingConfig(n_items=4), 1.0)
    model.learn(log([TEA, POT, CUP], [0, 3, 90]))
    assert rank_of_each(model, [CUP, POT, TEA], 90) == [1.0, 2.0, 3.0]


def test_an_item_that_nobody_touched_is_a_miss_until_it_is_announced() -> None:
    model = Popularity(RankingConfig(n_items=4), 1.0)
    model.learn(log([TEA], [0]))
    assert rank_of_each(model, [UNSEEN], 1) == [math.inf]
    model.admit(np.array([UNSEEN], np.int32))
    assert rank_of_each(model, [UNSEEN], 1) == [2.0]


def test_counts_do_not_depend_on_how_the_log_is_cut() -> None:
    items, days = [0, 1, 0, 2, 2, 1], [0, 0.5, 3, 3, 7, 30]
    whole, cut = DecayedCounts(3, 7.0), DecayedCounts(3, 7.0)
    events = log(items, days)
    whole.add(events.item, events.ts_ms)
    for a, b in ((0, 1), (1, 4), (4, 4), (4, 6)):
        part = events.between(a, b)
        cut.add(part.item, part.ts_ms)
    assert cut.value == pytest.approx(whole.value, rel=1e-12)


def test_log_share_is_a_share_with_one_event_added_evenly() -> None:
    counts = DecayedCounts(4, math.inf)
    counts.add(np.array([0, 0, 1], np.int32), np.zeros(3, np.int64))
    assert np.exp(counts.log_share()) == pytest.approx([2.25 / 4, 1.25 / 4, 0.25 / 4, 0.25 / 4])
