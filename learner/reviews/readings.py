"""What reading and learning reviews gives.

Legend: `N` reviews, `3` sentiments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.events import Sentiment

SENTIMENTS: tuple[Sentiment, ...] = ("negative", "neutral", "positive")
"""1 and 2 stars, 3 stars, 4 and 5 stars."""


class Readings(NamedTuple):
    """What reviews say, by what was known before they were learnt."""

    sentiment_N3: NDArray[np.float64]
    """Probabilities of negative, neutral, positive."""
    rating_N: NDArray[np.float64]
    """Stars, 1 to 5."""
    doubt_N: NDArray[np.float64]
    """0 (sure) to 1: what active learning sorts by."""
    label_N: NDArray[np.int64]
    """The sentiment that serves macro-F1 best, as a place in `SENTIMENTS`: rare ones are named
    sooner than by their probability alone."""


class ReviewReport(NamedTuple):
    """What one micro-batch taught."""

    rated: int
    """Reviews with a rating."""
    guessed: int
    """Reviews without one that were learnt with a confident guess."""
    loss: float
    """Mean negative log-likelihood of the rated reviews' sentiments, before learning; 0 of none."""
    squared_error: float
    """Mean squared error of their ratings, before learning; 0 of none."""


def sentiments(rating_N: NDArray[np.float64]) -> NDArray[np.int64]:
    """Stars to places in `SENTIMENTS`; half stars go to the nearer end.

    >>> sentiments(np.array([1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0])).tolist()
    [0, 0, 0, 1, 2, 2, 2]
    """
    return np.where(rating_N <= 2.5, 0, np.where(rating_N < 3.5, 1, 2))  # noqa: PLR2004
