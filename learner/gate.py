"""The gate: what of a version is published, by paired tests on the newest examples.

Legend: `N` sampled examples, `S` stakes.

A test bets, example after example, that one ranking is worth less than another. A user is heard a
few times in a micro-batch at most, however many events that user sent: a crowd decides, not a bot.
While the bet is wrong, wealth can't grow on average; a wealth of `PROOF` is the proof. Wealth never
falls below its first unit, so that what was good long ago does not speak for what is bad now. Such
a test may be looked at after every micro-batch (betting: Waudby-Smith & Ramdas, "Estimating means
of bounded random variables by betting", 2024; change: Shin, Ramdas & Rinaldo, "E-detectors", 2023,
Theorem 2.4: it takes `PROOF` examples or more, on average, until a proof of what is not so).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from learner.measures import DecayedMean

PROOF = 1_000.0
"""The wealth that proves. Ten times less finds a bad version a third sooner, and lets ten times as
many false alarms pass."""

LIKELY = 20.0
"""The wealth that is enough to begin a quarantine, and to end it one way or the other: the asked
differences are large ones, which chance doesn't make. And to switch a correction off: no great
loss, and it comes back as soon as it is worth it."""

STAKES = np.array([0.9, 0.5, 0.25, 0.125, 0.0625, 0.03125])
"""What is bet of the wealth, in parallel: large stakes find large losses soon, small ones find
small losses at all. Gains differ by 1 at most, so that none of them can be ruined."""

COLLAPSE, RECOVERY = 0.5, 0.75
"""Shares of its usual worth: a live version below the first has collapsed, above the second it is
back. A season takes less than half; what takes more is rubbish, or a shop that nobody knows yet."""

USUAL = 4_000.0
"""Half-life, in sampled examples, of what is usual: after some of these, the worst is usual too."""

LEAST = 100.0
"""Sampled examples before anything is usual."""

PER_USER = 4
"""Examples of one user that are heard in a micro-batch. One would leave a wholesaler's shop, where
ten customers fill a micro-batch, without a judgement for hours."""

Decision = Literal["published", "prior", "held", "rolled-back", "restored"]

PAIRS = (
    *(("challenger", "live"), ("challenger", "prior"), ("challenger", "popularity")),
    *(("prior", "live"), ("prior", "popularity"), ("live", "popularity")),
    *(("live", "good"), ("good", "live"), ("live", "challenger")),
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
    def odds(self) -> float:
        """The wealth: 1 and less says nothing."""
        return float(self.wealth_S.mean())

    @property
    def proven(self) -> bool:
        """Whether the newest examples prove it."""
        return self.odds >= PROOF

    def add(self, lead_N: NDArray[np.float64]) -> Suspicion:
        """Take in how much more the suspected ranking was worth than the other."""
        if len(lead_N):
            log_S = np.log1p(-STAKES[:, None] * lead_N).sum(axis=1)
            # No more than proof is kept: what was proven is disproven as fast as it was found.
            ceiling = np.log(PROOF * len(STAKES))
            log_S = np.minimum(np.log(np.maximum(self.wealth_S, 1.0)) + log_S, ceiling)
            self.wealth_S = np.exp(log_S)
        return self


class Gate:
    """Says what becomes of the next version.

    Examples
    --------
    >>> gate = Gate()
    >>> better, worse = np.full(200, 0.4), np.full(200, 0.1)
    >>> gate.see({"challenger": better, "prior": worse, "live": worse})
    >>> gate.decide()
    'published'
    >>> gate.see({"challenger": worse, "prior": worse, "live": better})
    >>> gate.decide()
    'held'
    """

    def __init__(self) -> None:
        self._suspicions = {"<".join(pair): Suspicion() for pair in PAIRS}
        self._usual = DecayedMean(USUAL)
        self._fall = {name: Suspicion() for name in ("live", "challenger")}
        self._recovery = Suspicion()
        self.quarantine = False
        """Whether the live version has collapsed: what is learnt meanwhile is under suspicion."""

    def see(self, gains: Mapping[str, NDArray[np.float64]]) -> None:
        """Take in what rankings were worth on the same new examples, before any of it was learnt.

        Rankings that there are not yet are left out.
        """
        for worse, better in PAIRS:
            if worse in gains and better in gains:
                self._suspicions[f"{worse}<{better}"].add(gains[worse] - gains[better])
        if "live" not in gains:
            return
        if self._usual.weight >= LEAST:
            usual = self._usual.value
            for name, fall in self._fall.items():
                fall.add(gains[name] - COLLAPSE * usual)
            if self._fall["live"].odds >= LIKELY and not self.quarantine:
                self.quarantine = True
                self._recovery = Suspicion()
                self._suspicions["live<challenger"] = Suspicion()
            self._recovery.add(RECOVERY * usual - gains["live"])
        self._usual.add(gains["live"])

    def worse(self, name: str, than: str) -> bool:
        """Whether one ranking is proven worse than another."""
        return self._suspicions[f"{name}<{than}"].proven

    def decide(self) -> Decision:
        """What becomes of a version that is made now.

        1. A live version that is worse than the good one is rolled back.
        2. While the live version has collapsed, nothing is published unless it does better and has
           not collapsed itself: then the shop has changed, and that is usual from now on. If the
           live version comes back instead, the learner was taught rubbish, and is restored to it.
        3. The learner's version is published unless it is worse than the live one, than popularity
           (where the live one isn't), or than its own prior.
        4. Else its prior is published, on the same terms.
        5. Else nothing is: the learner goes on, and the live version stays.
        """
        if self.worse("live", "good"):
            return "rolled-back"
        if self.quarantine:
            likely = self._suspicions["live<challenger"].odds >= LIKELY
            if likely and not self._fall["challenger"].odds >= LIKELY:
                self.__init__()  # type: ignore[misc]
                return "published"
            return "restored" if self._recovery.odds >= LIKELY else "held"
        outdone = self.worse("live", "popularity")
        for name, decision in _CHOICES:
            if self.worse(name, "live") or (self.worse(name, "popularity") and not outdone):
                continue
            if name == "prior" or self._suspicions["challenger<prior"].odds < LIKELY:
                return decision
        return "held"

    def now_good(self) -> bool:
        """Whether the live version has proven better than the good one, and takes its place."""
        return self.worse("good", "live")

    def good_changed(self) -> None:
        """Start anew with what is compared to the good version."""
        self._suspicions |= {"live<good": Suspicion(), "good<live": Suspicion()}

    def forget(self) -> None:
        """Start anew: another live version or another learner is judged from now on."""
        usual = self._usual
        self.__init__()  # type: ignore[misc]
        self._usual = usual

    def state(self) -> dict[str, list[float]]:
        """What a checkpoint keeps."""
        kept = {name: s.wealth_S.tolist() for name, s in self._all().items()}
        kept["usual"] = [self._usual.total, self._usual.weight]
        kept["quarantine"] = [float(self.quarantine)]
        return kept

    def restore(self, state: Mapping[str, list[float]]) -> None:
        """Go on from a checkpoint."""
        for name, suspicion in self._all().items():
            suspicion.wealth_S = np.array(state[name])
        self._usual.total, self._usual.weight = state["usual"]
        self.quarantine = bool(state["quarantine"][0])

    def _all(self) -> dict[str, Suspicion]:
        falls = {f"fall {name}": fall for name, fall in self._fall.items()}
        return {**self._suspicions, **falls, "recovery": self._recovery}


_CHOICES: tuple[tuple[str, Decision], ...] = (("challenger", "published"), ("prior", "prior"))


def one_of_each_first(
    user_N: NDArray[np.int64], most: int, per_user: int = PER_USER
) -> NDArray[np.int64]:
    """Pick examples, users' first ones first, then their second ones: many users, few of each.

    >>> one_of_each_first(np.array([7, 7, 7, 8, 9]), most=4).tolist()
    [0, 1, 3, 4]
    >>> one_of_each_first(np.array([7, 7, 7, 8, 9]), most=4, per_user=1).tolist()
    [0, 3, 4]
    """
    order = np.argsort(user_N, kind="stable")
    sorted_N = user_N[order]
    start_N = np.r_[True, sorted_N[1:] != sorted_N[:-1]][: len(order)]
    first_N = np.maximum.accumulate(np.where(start_N, np.arange(len(order)), 0))
    turn_N = np.empty(len(order), np.int64)
    turn_N[order] = np.arange(len(order)) - first_N
    picked = np.argsort(turn_N, kind="stable")[:most]
    return np.sort(picked[turn_N[picked] < per_user])
