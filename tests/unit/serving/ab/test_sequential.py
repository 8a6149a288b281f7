"""Who looks at a test after every hundred lists is not fooled by it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.ab.sequential import Difference, difference, rate_of

USERS, LISTS, LOOK_EVERY = 1_000, 8_000, 400
RUNS = 1_000


def looked_at(
    rng: np.random.Generator, *, lift: float = 0.0, revenue: bool = False
) -> list[Difference]:
    """One test: lists over time, of users of whom some come often; looked at all along.

    Each user takes to their own degree, so that what one does is no independent draw.
    """
    often_U = rng.pareto(1.5, USERS) + 0.2
    user_N = rng.choice(USERS, LISTS, p=often_U / often_U.sum())
    arm_U = rng.integers(0, 2, USERS)
    taste_U = rng.beta(2, 18, USERS) * np.where(arm_U == 1, 1 + lift, 1.0)
    done_N = (rng.random(LISTS) < taste_U[user_N]).astype(float)
    if revenue:
        done_N *= rng.lognormal(3.0, 1.0, LISTS)
    looks = []
    for end in range(LOOK_EVERY, LISTS + 1, LOOK_EVERY):
        seen_U = np.bincount(user_N[:end], minlength=USERS).astype(float)
        did_U = np.bincount(user_N[:end], done_N[:end], minlength=USERS).astype(float)
        rates = [rate_of(did_U[mine], seen_U[mine]) for mine in both_arms(arm_U, seen_U)]
        looks.append(difference(rates[1], rates[0]))
    return looks


def both_arms(arm_U: NDArray[np.int64], seen_U: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    return [(arm_U == arm) & (seen_U > 0) for arm in (0, 1)]


@pytest.mark.parametrize("revenue", [False, True], ids=["clicks", "revenue"])
def test_of_a_thousand_tests_without_a_difference_at_most_one_in_twenty_finds_one(
    revenue: bool,
) -> None:
    rng = np.random.default_rng(5)
    fooled = sum(
        any(look.is_proven for look in looked_at(rng, revenue=revenue)) for _ in range(RUNS)
    )
    assert fooled <= 0.05 * RUNS


def test_a_real_difference_is_found_and_the_bounds_hold_it() -> None:
    rng = np.random.default_rng(6)
    tests = [looked_at(rng, lift=1.0) for _ in range(50)]
    assert np.mean([any(look.is_proven for look in looks) for looks in tests]) > 0.6
    true = 1.0 * 0.1
    held = [all(look.low <= true <= look.high for look in looks) for looks in tests]
    assert np.mean(held) > 0.9


def test_a_test_of_a_fixed_size_looked_at_alike_would_be_fooled() -> None:
    """What the mixture is for: 1.96 standard errors, looked at all along."""
    rng = np.random.default_rng(7)
    fooled = 0
    for _ in range(200):
        value, fooled_now = 0.0, False
        draws = rng.choice([-1.0, 1.0], 2_000)
        for end in range(100, 2_001, 100):
            value = draws[:end].mean()
            fooled_now |= abs(value) > 1.96 / np.sqrt(end)
        fooled += fooled_now
    assert fooled > 0.15 * 200


def test_nothing_is_said_of_a_handful_of_users() -> None:
    few = rate_of(np.ones(20), np.full(20, 2.0))
    none = rate_of(np.zeros(20), np.full(20, 2.0))
    assert not difference(few, none).is_proven
    assert difference(few, none).p == 1.0
