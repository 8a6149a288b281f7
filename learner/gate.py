"""The gate: what of a version is published, by paired tests on the newest examples.

Legend: `N` sampled examples, `U` distinct users of a micro-batch, `S` stakes.

A test bets, round after round, that one ranking is worth less than another. A round is one user of
one micro-batch, however many events that user sent: the difference of both rankings' mean gains.
While the bet is wrong, wealth can't grow on average; a wealth of `PROOF` is the proof. Wealth never
falls below its first unit, so that what was good long ago does not speak for what is bad now. Such
a test may be looked at after every micro-batch (betting: Waudby-Smith & Ramdas, "Estimating means
of bounded random variables by betting", 2024; change: Shin, Ramdas & Rinaldo, "E-detectors", 2023,
Theorem 2.4: it takes `PROOF` rounds or more, on average, until a proof of what is not so).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PROOF = 1_000.0
"""The wealth that proves. Ten times less finds a bad version a third sooner, and lets ten times as
many false alarms pass."""

STAKES = np.array([0.5, 0.25, 0.125, 0.0625, 0.03125])
"""What is bet of the wealth, in parallel: large stakes find large losses soon, small ones find
small losses at all. Gains differ by 1 at most, so that none of them can be ruined."""

Decision = Literal["published", "prior", "held", "rolled-back"]

PAIRS = (
    *(("challenger", "live"), ("challenger", "prior"), ("challenger", "popularity")),
    *(("prior", "live"), ("prior", "popularity")),
    *(("live", "popularity"), ("live", "good"), ("good", "live")),
)
"""Which rankings are suspected of being worse than which.

The challenger is the learner as it is now, and the prior is its own; `live` is the version that
serving uses, `good` the one to go back to.
"""


class Suspicion:
    """How much speaks for "this ranking is worse than that one".

    >>> suspicion = Suspicion()
    >>> suspicion.add(np.full(100, 0.3)).proven
    False
    >>> suspicion.add(np.full(100, -0.3)).proven
    True
    """

    def __init__(self) -> None:
        self.wealth_S = np.ones(len(STAKES))

    @property
    def proven(self) -> bool:
        """Whether the newest examples prove it."""
        return bool(self.wealth_S.mean() >= PROOF)

    def add(self, lead_U: NDArray[np.float64]) -> Suspicion:
        """Take in how much more the suspected ranking was worth than the other, by user."""
        if len(lead_U):
            log_S = np.log1p(-STAKES[:, None] * lead_U).sum(axis=1)
            # No more than proof is kept: what was proven is disproven as fast as it was found.
            ceiling = np.log(PROOF * len(STAKES))
            log_S = np.minimum(np.log(np.maximum(self.wealth_S, 1.0)) + log_S, ceiling)
            self.wealth_S = np.exp(log_S)
        return self


class Gate:
    """Says what becomes of the next version.

    Examples
    --------
    >>> gate, users = Gate(), np.arange(200)
    >>> better, worse = np.full(200, 0.4), np.full(200, 0.1)
    >>> gate.see({"challenger": better, "prior": worse, "live": worse}, users)
    >>> gate.decide()
    'published'
    >>> gate.see({"challenger": worse, "prior": worse, "live": better}, users)
    >>> gate.decide()
    'held'
    """

    def __init__(self) -> None:
        self._suspicions = {pair: Suspicion() for pair in PAIRS}

    def see(self, gains: Mapping[str, NDArray[np.float64]], user_N: NDArray[np.int64]) -> None:
        """Take in what rankings were worth on the same new examples, before any of it was learnt.

        Parameters
        ----------
        gains
            By name; rankings that there are not yet are left out.
        user_N
            The user of each example, as a code.
        """
        _, which_N = np.unique(user_N, return_inverse=True)
        events_U = np.bincount(which_N)
        mean = {name: np.bincount(which_N, gain_N) / events_U for name, gain_N in gains.items()}
        for (worse, better), suspicion in self._suspicions.items():
            if worse in mean and better in mean:
                suspicion.add(mean[worse] - mean[better])

    def worse(self, name: str, than: str) -> bool:
        """Whether one ranking is proven worse than another."""
        return self._suspicions[name, than].proven

    def decide(self) -> Decision:
        """What becomes of a version that is made now.

        1. A live version that is worse than the good one is rolled back.
        2. The learner's version is published unless it is worse than the live one, than popularity
           (where the live one isn't), or than its own prior.
        3. Else its prior is published, on the same terms.
        4. Else nothing is: the learner goes on, and the live version stays.
        """
        if self.worse("live", "good"):
            return "rolled-back"
        outdone = self.worse("live", "popularity")
        for name, decision in _CHOICES:
            if self.worse(name, "live") or (self.worse(name, "popularity") and not outdone):
                continue
            if name == "prior" or not self.worse(name, "prior"):
                return decision
        return "held"

    def now_good(self) -> bool:
        """Whether the live version has proven better than the good one, and takes its place."""
        return self.worse("good", "live")

    def forget(self, *names: str) -> None:
        """Start anew with all pairs of these rankings, or with all there are if none is named."""
        for pair in PAIRS:
            if not names or set(pair) & set(names):
                self._suspicions[pair] = Suspicion()

    def state(self) -> dict[str, list[float]]:
        """What a checkpoint keeps."""
        return {"<".join(pair): s.wealth_S.tolist() for pair, s in self._suspicions.items()}

    def restore(self, state: Mapping[str, list[float]]) -> None:
        """Go on from a checkpoint."""
        for pair, suspicion in self._suspicions.items():
            suspicion.wealth_S = np.array(state["<".join(pair)])


_CHOICES: tuple[tuple[str, Decision], ...] = (("challenger", "published"), ("prior", "prior"))


def one_of_each_first(user_N: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Pick examples, users' first ones first, then their second ones: many users, few of each.

    >>> one_of_each_first(np.array([7, 7, 7, 8, 9]), most=4).tolist()
    [0, 1, 3, 4]
    """
    order = np.argsort(user_N, kind="stable")
    sorted_N = user_N[order]
    start_N = np.r_[True, sorted_N[1:] != sorted_N[:-1]][: len(order)]
    first_N = np.maximum.accumulate(np.where(start_N, np.arange(len(order)), 0))
    turn_N = np.empty(len(order), np.int64)
    turn_N[order] = np.arange(len(order)) - first_N
    return np.sort(np.argsort(turn_N, kind="stable")[:most])
