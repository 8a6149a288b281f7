"""The response to drift: a signal makes the learner take larger steps for a while.

Beside it, the learner lets what popularity has counted so far weigh next to nothing: what is wanted
now is then seen in hundreds of events. That is where the benefit comes from.

Pure: who detects is a `Detector`, such as River's in `learner.drift_river`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Signal = Literal["loss", "novelty"]
"""The loss of each example before it is learnt; how unlike the user's past it is
(`learner.novelty`)."""


class Detector(Protocol):
    """Something that watches numbers and says when they changed."""

    @property
    def name(self) -> str:
        """Its name, from a closed set: a metric's label."""

    @property
    def signal(self) -> Signal:
        """What it watches."""

    def update(self, values_N: NDArray[np.float64]) -> int:
        """Look at new values; returns how often a change was found among them."""


class Response:
    """The factor on every step size: jumps at a signal, then halves towards 1.

    >>> response = Response(factor=3.0, half_life=100)
    >>> response.signal()
    >>> response.pass_by(100)
    >>> response.factor
    2.0
    """

    def __init__(self, factor: float, half_life: int) -> None:
        self._peak = factor - 1.0
        self._half_life = half_life
        self.excess = 0.0

    @property
    def factor(self) -> float:
        """What step sizes are multiplied by: 1 in quiet times."""
        return 1.0 + self.excess

    def signal(self) -> None:
        """A change was found: back to the peak, however high the factor still is."""
        self.excess = self._peak

    def pass_by(self, examples: int) -> None:
        """Examples went by."""
        self.excess *= 2.0 ** (-examples / self._half_life)


def watch(
    detectors: Sequence[Detector],
    response: Response,
    signals: Mapping[Signal, NDArray[np.float64]],
) -> tuple[str, ...]:
    """Show new values to all detectors; the names of those that found a change."""
    found = tuple(
        detector.name for detector in detectors if detector.update(signals[detector.signal])
    )
    if found:
        response.signal()
    return found
