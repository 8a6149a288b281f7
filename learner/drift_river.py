"""River's drift detectors on what the learner sees: its loss, and how new what users do is.

Only rises count: a loss that falls is a learner that learns. Nothing depends on the level of the
values: they are divided by their own spread, which is followed, before a detector sees them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.river_import import drift
from learner.drift import Signal

TOGETHER = 16
"""Values averaged into one: single ones are too noisy for a test on means to be calm. With more, a
detector learns of a change later."""

SPREAD_OVER = 4_000
"""Values over which the spread is followed: fewer let a change hide itself by its own spread."""


class RiverDetector:
    """A detector of `river.drift` behind the learner's `Detector` protocol.

    >>> detector = adwin()
    >>> noise = np.random.default_rng(1).normal(size=4_000)
    >>> calm, worse = 1.0 + noise[:2_000], 3.0 + noise[2_000:]
    >>> detector.update(calm), detector.update(worse) > 0
    (0, True)
    """

    def __init__(
        self, name: str, detector: drift.ADWIN | drift.PageHinkley, signal: Signal = "loss"
    ) -> None:
        self.name = name
        self.signal: Signal = signal
        self._detector = detector
        self._waiting: list[float] = []
        self._seen = 0
        self._mean = 0.0
        self._variance = 0.0

    def update(self, values_N: NDArray[np.float64]) -> int:
        """Look at new values; returns how often a rise was found among them."""
        self._waiting.extend(values_N.tolist())
        found, whole = 0, len(self._waiting) // TOGETHER * TOGETHER
        for start in range(0, whole, TOGETHER):
            found += self._look(np.array(self._waiting[start : start + TOGETHER]))
        del self._waiting[:whole]
        return found

    def _look(self, values_N: NDArray[np.float64]) -> bool:
        mean = float(values_N.mean())
        self._seen += TOGETHER
        weight = TOGETHER / min(self._seen, SPREAD_OVER)
        before = mean if self._seen == TOGETHER else self._mean
        square = float(np.square(values_N - before).mean())
        self._variance += weight * (square - self._variance)
        self._mean = before + weight * (mean - before)
        if self._variance <= 0.0:
            return False
        usual = self._usual()
        value = mean / self._variance**0.5
        self._detector.update(value)
        return bool(self._detector.drift_detected) and self._usual() >= usual

    def _usual(self) -> float:
        """ADWIN's mean of what it hasn't forgotten; Page-Hinkley hears of rises only."""
        return self._detector.estimation if isinstance(self._detector, drift.ADWIN) else 0.0


def adwin(delta: float = 0.002) -> RiverDetector:
    """ADWIN (Bifet & Gavaldà 2007) on the loss: finds small rises that last.

    Not among the defaults: a loss that creeps up while a shop grows is one of those.
    """
    return RiverDetector("adwin", drift.ADWIN(delta=delta, clock=4))


def page_hinkley(threshold: float = 6.0) -> RiverDetector:
    """Page-Hinkley (Page 1954) on the loss: the model fails where it used to succeed.

    A loss that rises by two thirds is found after some 200 examples. What a growing shop does to
    the loss, a third of a standard deviation at most, isn't.
    """
    return RiverDetector("page_hinkley", _page_hinkley(delta=0.3, threshold=threshold))


def novelty(threshold: float = 3.0) -> RiverDetector:
    """Page-Hinkley on the novelty of what users do: an abrupt change for many of them at once.

    On the simulated shop it finds a season that moves four shoppers of five after some 200 events;
    shoppers who move one by one, as they always do, don't raise it.
    """
    return RiverDetector("novelty", _page_hinkley(delta=0.15, threshold=threshold), "novelty")


def _page_hinkley(delta: float, threshold: float) -> drift.PageHinkley:
    """Page-Hinkley for means of 16 values, in standard deviations of single values.

    `delta` is how much higher such means may lie without being news; after an alarm it starts anew.
    """
    return drift.PageHinkley(min_instances=30, delta=delta, threshold=threshold, mode="up")


def default_detectors() -> tuple[RiverDetector, ...]:
    """What the learner role watches its stream with."""
    return (page_hinkley(), novelty())
