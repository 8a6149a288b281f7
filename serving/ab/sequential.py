"""A difference of two rates that may be looked at after every event, without being fooled.

A fixed-size test is right once; who looks every hour and stops at the first p < .05 finds
"winners" among equals in a third of all tests. The mixture sequential probability ratio test is
right at all times at once (Johari, Koomen, Pekelis, Walsh: "Peeking at A/B Tests", KDD 2017,
sections 4 and 5): the evidence for a difference is the likelihood ratio, averaged over differences
that one would expect, and under no difference it ever passes 1/α in at most a share α of all tests.

The unit is the user, who is dealt to a variant once: clicks of one user depend on each other. A
rate is a ratio of sums over users (clicks over shown lists), its variance that of a ratio by
linearisation (delta method; Deng, Knoblich, Lu: KDD 2018).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_USERS = 100
"""Users of either arm before anything is said: the evidence rests on a normal approximation."""

LEAST_EVENTS = 25
"""The same for users who did what is counted: sums of rare things are not normal before that."""

EXPECTED = 0.2
"""The lift that one would expect, relative to the control's rate: the mixture's width. It moves how
soon a difference is found, never how often one is found where there is none."""


class Rate(NamedTuple):
    """One arm's rate."""

    value: float
    variance: float
    users: int
    with_any: int
    """Users who did what is counted at least once."""


class Difference(NamedTuple):
    """What is known of a difference to the control.

    `low` and `high` hold the true difference at all times at once with probability 1 - α;
    `p` is the smallest α at which it would be called one. While too little is known, the bounds are
    infinite and `p` is 1.
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def is_proven(self) -> bool:
        """Whether no difference is ruled out."""
        return self.low > 0 or self.high < 0


def rate_of(top_U: NDArray[np.float64], below_U: NDArray[np.float64]) -> Rate:
    """Sums over users as a rate: what they did, over how often they could have.

    >>> rate_of(np.array([1.0, 0.0]), np.array([2.0, 2.0])).value
    0.25
    """
    whole = float(below_U.sum())
    if whole == 0.0:
        return Rate(0.0, math.inf, 0, 0)
    value = float(top_U.sum()) / whole
    users = len(below_U)
    # Each user's part in the sum beyond what the rate would have them do.
    beyond = float(((top_U - value * below_U) ** 2).sum())
    variance = beyond / whole**2 * users / max(1, users - 1)
    return Rate(value, variance, users, int(np.count_nonzero(top_U)))


def difference(arm: Rate, control: Rate, *, alpha: float = 0.05) -> Difference:
    """How an arm differs from the control.

    Examples
    --------
    >>> few = Rate(0.3, 0.0004, 40, 30)
    >>> difference(few, few).high
    inf
    >>> much = difference(Rate(0.12, 1e-6, 9000, 900), Rate(0.10, 1e-6, 9000, 800))
    >>> much.is_proven, round(much.low, 3), round(much.high, 3)
    (True, 0.015, 0.025)
    """
    value = arm.value - control.value
    variance = arm.variance + control.variance
    little = min(arm.users, control.users) < LEAST_USERS
    if little or min(arm.with_any, control.with_any) < LEAST_EVENTS or not variance > 0:
        return Difference(value, -math.inf, math.inf, 1.0)
    width = (EXPECTED * control.value) ** 2  # the variance of differences that one would expect
    evidence = _log_ratio(value, variance, width)
    reach = math.sqrt(
        variance
        * (variance + width)
        / width
        * (2.0 * math.log(1.0 / alpha) + math.log1p(width / variance))
    )
    return Difference(value, value - reach, value + reach, min(1.0, math.exp(-evidence)))


def _log_ratio(value: float, variance: float, width: float) -> float:
    """The mixture's likelihood ratio against no difference, as a logarithm."""
    shrunk = width / (variance * (variance + width))
    return 0.5 * (value**2 * shrunk - math.log1p(width / variance))
