"""River's drift detectors on the learner's loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from river import drift

TOGETHER = 32
"""Losses averaged into one value: single losses are too noisy for a test on means to be calm."""


class RiverDetector:
    """A detector of `river.drift` behind the learner's `Detector` protocol.

    The mean of every `TOGETHER` losses is what the detector sees.

    >>> detector = adwin()
    >>> calm, worse = np.full(2_000, 1.0), np.full(2_000, 3.0)
    >>> detector.update(calm), detector.update(worse) > 0
    (0, True)
    """

    def __init__(self, name: str, detector: drift.ADWIN | drift.PageHinkley) -> None:
        self.name = name
        self._detector = detector
        self._waiting: list[float] = []

    def update(self, values_N: NDArray[np.float64]) -> int:
        """Look at new losses; returns how often a change was found among them."""
        self._waiting.extend(values_N.tolist())
        found = 0
        while len(self._waiting) >= TOGETHER:
            self._detector.update(sum(self._waiting[:TOGETHER]) / TOGETHER)
            del self._waiting[:TOGETHER]
            found += bool(self._detector.drift_detected)
        return found


def adwin(delta: float = 0.002) -> RiverDetector:
    """ADWIN (Bifet & Gavaldà 2007): a change of the mean, in either direction."""
    return RiverDetector("adwin", drift.ADWIN(delta=delta, clock=4))


def page_hinkley(threshold: float = 8.0) -> RiverDetector:
    """Page-Hinkley (Page 1954): a rise of the mean; it starts anew after each alarm.

    At this threshold, a loss that rises by a third is found after some 300 examples, and in 400,000
    calm ones there was no false alarm (gamma-distributed losses of mean 3).
    """
    return RiverDetector(
        "page_hinkley",
        drift.PageHinkley(min_instances=30, delta=0.1, threshold=threshold, mode="up"),
    )


def default_detectors() -> tuple[RiverDetector, ...]:
    """What the learner role watches its loss with."""
    return (adwin(), page_hinkley())
