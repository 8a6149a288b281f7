"""Whether users were dealt as they should have been: a sample ratio mismatch spoils any test.

A page that fails for one variant, a bot in one arm, a cache that forgets who got what: they show in
the number of users per arm before they show anywhere else. The test may be looked at any time
(Lindon, Malek: "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022, section 3): a
Dirichlet prior around the shares that were asked for, against these shares themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_SURE = 200.0
"""How near to the asked shares the alternative expects to be: some hundredths off."""

LEAST_ODDS = 1_000.0
"""From here on a mismatch is called one: in at most one test in so many without any."""


def mismatch_odds(users: Sequence[int], weights: Sequence[float]) -> float:
    """The odds that users were dealt by other shares than the weights; above 1,000: stop the test.

    >>> mismatch_odds([5_000, 5_050], [1, 1]) < 2
    True
    >>> mismatch_odds([50_000, 53_000], [1, 1]) > LEAST_ODDS
    True
    >>> mismatch_odds([0, 0], [1, 1])
    1.0
    """
    whole = sum(weights)
    shares = [weight / whole for weight in weights]
    log = math.lgamma(_SURE) - math.lgamma(_SURE + sum(users))
    for count, share in zip(users, shares, strict=True):
        before = _SURE * share
        log += math.lgamma(before + count) - math.lgamma(before) - count * math.log(share)
    return math.exp(min(log, 700.0))
