"""What another policy would have earned, estimated from logs of one that we know."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from serving.ab.off_policy import Floats, doubly_robust, inverse_propensity, self_normalised

TRUE = np.array([0.1, 0.3, 0.5])
LOGGING, OTHER = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.2, 0.7])
WORTH = float(TRUE @ OTHER)


class Log(NamedTuple):
    reward: Floats
    chance: Floats
    other: Floats
    shown: np.ndarray[tuple[int], np.dtype[np.int64]]


def log(seed: int, count: int = 4_000) -> Log:
    rng = np.random.default_rng(seed)
    shown = rng.choice(3, count, p=LOGGING)
    reward = (rng.random(count) < TRUE[shown]).astype(float)
    return Log(reward, LOGGING[shown], OTHER[shown], shown)


def test_all_estimates_come_to_what_the_other_policy_would_have_earned() -> None:
    guess = np.array([0.15, 0.25, 0.4])  # a model that is wrong everywhere
    made: dict[str, list[float]] = {"ips": [], "snips": [], "dr": []}
    for seed in range(60):
        one = log(seed)
        logged, expected = guess[one.shown], np.full(len(one.shown), float(guess @ OTHER))
        made["ips"].append(inverse_propensity(one.reward, one.chance, one.other).value)
        made["snips"].append(self_normalised(one.reward, one.chance, one.other).value)
        made["dr"].append(doubly_robust(one.reward, one.chance, one.other, logged, expected).value)
    for values in made.values():
        assert np.mean(values) == pytest.approx(WORTH, abs=0.01)
    assert np.std(made["dr"]) < np.std(made["ips"])
    assert np.std(made["snips"]) < np.std(made["ips"])


def test_the_stated_error_is_the_error() -> None:
    estimates = [self_normalised(*log(seed)[:3]) for seed in range(200)]
    inside = [abs(one.value - WORTH) < 1.96 * one.error for one in estimates]
    assert 0.9 <= np.mean(inside) <= 0.99


def test_what_was_never_shown_is_refused() -> None:
    with pytest.raises(ValueError, match=r"propensity 0\.0 of show 1 must be above 0"):
        inverse_propensity(np.ones(2), np.array([0.5, 0.0]), np.ones(2))
