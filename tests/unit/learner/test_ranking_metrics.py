"""Metrics against hand-computed values, and properties that any reader expects of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.ranking_metrics import (
    bootstrap_interval,
    cold_item_mask,
    cold_user_mask,
    gains,
    ranking_metrics,
    running_mean,
)

MISS = math.inf


def test_means_over_hits_and_misses() -> None:
    found = ranking_metrics(np.array([1.0, 2.0, 10.0, 11.0, MISS]))
    assert found.hr == found.recall == pytest.approx(3 / 5)
    assert found.precision == pytest.approx(3 / 50)
    assert found.ndcg == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(11)) / 5)
    assert found.mrr == pytest.approx((1 + 1 / 2 + 1 / 10 + 1 / 11 + 0) / 5)
    assert found.events == 5


def test_only_misses_earn_nothing() -> None:
    found = ranking_metrics(np.array([MISS, MISS]))
    assert (found.hr, found.ndcg, found.precision, found.recall, found.mrr) == (0, 0, 0, 0, 0)


def test_a_tie_that_straddles_the_cut_is_out() -> None:
    # Places 10 and 11 tied: rank 10.5 is not within the first 10.
    assert gains(np.array([10.5, 9.5])).tolist() == [0.0, 1 / math.log2(10.5)]


def test_k_moves_the_cut() -> None:
    rank = np.array([4.0, 6.0])
    assert ranking_metrics(rank, k=5).hr == 0.5
    assert ranking_metrics(rank, k=5).precision == 0.1


def test_a_mask_picks_events_and_an_empty_one_is_no_number() -> None:
    rank = np.array([1.0, MISS])
    assert ranking_metrics(rank, mask=np.array([True, False])).hr == 1
    nobody = ranking_metrics(rank, mask=np.array([False, False]))
    assert nobody.events == 0
    assert math.isnan(nobody.ndcg)


def test_cold_items_are_those_without_history_each_time_they_come() -> None:
    item = np.array([5, 6, 7, 6, 7, 8], np.int32)
    assert cold_item_mask(item, split=2).tolist() == [True, False, True, True]


def test_cold_users_warm_up_inside_the_stream() -> None:
    user = np.array([1, 1, 2, 1, 1, 1, 2], np.int32)
    # Earlier events of each: 0 1 0 2 3 4 1.
    assert cold_user_mask(user, split=1).tolist() == [True, True, True, True, False, True]
    assert cold_user_mask(user, split=7).tolist() == []


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 40), st.integers(0, 4))
def test_cold_users_by_counting(users: list[int], split: int, most: int) -> None:
    split = min(split, len(users))
    wanted = [users[:n].count(users[n]) <= most for n in range(split, len(users))]
    assert cold_user_mask(np.array(users, np.int32), split, most).tolist() == wanted


def test_the_interval_holds_the_mean_and_repeats_by_its_seed() -> None:
    random = np.random.default_rng(0)
    value, user = random.random(2000), random.integers(0, 300, 2000).astype(np.int32)
    low, high = bootstrap_interval(value, user)
    assert low < value.mean() < high
    assert (low, high) == bootstrap_interval(value, user)
    assert (low, high) != bootstrap_interval(value, user, seed=1)


def test_users_are_drawn_not_events() -> None:
    # 10 users with 100 equal events each: as uncertain as 10 values, not as 1,000.
    each = np.arange(10) % 2
    value, user = np.repeat(each, 100).astype(float), np.repeat(np.arange(10), 100)
    by_user = bootstrap_interval(value, user.astype(np.int32))
    by_event = bootstrap_interval(value, np.arange(1000, dtype=np.int32))
    wanted = 1.96 * 0.5 / math.sqrt(10)
    assert by_user[1] - by_user[0] == pytest.approx(2 * wanted, rel=0.2)
    assert by_event[1] - by_event[0] < 0.15 * (by_user[1] - by_user[0]) * 1.2


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    inside = 0
    for trial in range(200):
        rate = random.beta(2, 2, 60)  # users differ; their mean rate is 1/2
        user = np.repeat(np.arange(60), 5).astype(np.int32)
        hit = (random.random(300) < np.repeat(rate, 5)).astype(float)
        low, high = bootstrap_interval(hit, user, resamples=300, seed=trial)
        inside += low <= 0.5 <= high
    assert 0.90 <= inside / 200 <= 0.99


def test_no_events_no_interval() -> None:
    assert all(map(math.isnan, bootstrap_interval(np.empty(0), np.empty(0, np.int32))))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 80))
def test_running_mean_is_the_mean_of_the_last_ones(
    value: list[float], window: int, points: int
) -> None:
    curve = running_mean(np.array(value), window, points)
    assert curve.events.size <= points
    assert curve.events[-1] == len(value) or points == 1
    for n, mean in zip(curve.events.tolist(), curve.mean.tolist(), strict=True):
        last = value[max(0, n - window) : n]
        assert mean == pytest.approx(sum(last) / len(last), abs=1e-9)


def test_running_mean_of_nothing_is_empty() -> None:
    assert running_mean(np.empty(0)).events.size == 0
