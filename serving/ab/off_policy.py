"""What another policy would have earned, from what was logged with its propensities.

Legend: `N` logged shows. `chance` is the probability with which the logging policy showed what it
showed, `other` the one with which the other policy would have. All three estimate the mean reward
of the other policy (Dudík, Langford, Li: "Doubly Robust Policy Evaluation and Learning", ICML 2011;
Swaminathan, Joachims: "The Self-Normalized Estimator", NeurIPS 2015).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_WEIGHT = 20.0
"""Weights above it are cut: a rare show would otherwise stand for too many others."""


class Estimate(NamedTuple):
    """A mean with its standard error, and how many shows it really rests on."""

    value: float
    error: float
    effective: float


def inverse_propensity(reward_N: Floats, chance_N: Floats, other_N: Floats) -> Estimate:
    """Each show counts for the shows that it stands for. Right on average, wide.

    >>> reward, half = np.array([1.0, 0.0, 1.0, 0.0]), np.full(4, 0.5)
    >>> inverse_propensity(reward, half, half).value
    0.5
    """
    weight_N = weights(chance_N, other_N)
    return _mean(weight_N * reward_N, weight_N)


def self_normalised(reward_N: Floats, chance_N: Floats, other_N: Floats) -> Estimate:
    """The same over the sum of the weights: a little off for few shows, much narrower."""
    weight_N = weights(chance_N, other_N)
    whole = weight_N.sum()
    if whole == 0.0:
        return Estimate(0.0, float("inf"), 0.0)
    value = float((weight_N * reward_N).sum() / whole)
    error = float(np.sqrt((weight_N**2 * (reward_N - value) ** 2).sum()) / whole)
    return Estimate(value, error, _effective(weight_N))


def doubly_robust(
    reward_N: Floats, chance_N: Floats, other_N: Floats, logged_N: Floats, expected_N: Floats
) -> Estimate:
    """A model's guess, put right by what was logged: right if either propensities or guess are.

    Parameters
    ----------
    logged_N
        The reward that the model expects of what was shown.
    expected_N
        The reward that the model expects of what the other policy would show in the same place.

    >>> reward, half = np.array([1.0, 0.0, 1.0, 0.0]), np.full(4, 0.5)
    >>> doubly_robust(reward, half, half, reward, reward).error
    0.25
    """
    weight_N = weights(chance_N, other_N)
    return _mean(expected_N + weight_N * (reward_N - logged_N), weight_N)


def weights(chance_N: Floats, other_N: Floats) -> Floats:
    """How many shows of the other policy each logged one stands for.

    Raises
    ------
    ValueError
        If a propensity is not above 0: what was never shown says nothing.
    """
    if len(chance_N) and not chance_N.min() > 0:
        at = int(np.argmin(chance_N))
        msg = f"propensity {chance_N[at]} of show {at} must be above 0: log the chance of each item"
        raise ValueError(msg)
    return np.minimum(other_N / chance_N, MOST_WEIGHT)


def _mean(value_N: Floats, weight_N: Floats) -> Estimate:
    count = len(value_N)
    if count == 0:
        return Estimate(0.0, float("inf"), 0.0)
    error = float(value_N.std() / np.sqrt(count))
    return Estimate(float(value_N.mean()), error, _effective(weight_N))


def _effective(weight_N: Floats) -> float:
    squares = float((weight_N**2).sum())
    return float(weight_N.sum()) ** 2 / squares if squares else 0.0
