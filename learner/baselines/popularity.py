"""Popularity that fades: what is bought now, by everybody.

The hardest of the simple baselines on sparse data; judged at its best half-life (Ji et al., "A
re-visit of the popularity baseline in recommender systems", SIGIR 2020).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from learner.baselines.full_ranking import FullRanking, RankingConfig, Scores
from learner.baselines.protocol import Events

DAY_MS = 86_400_000
HALF_LIVES_DAYS = (1.0, 7.0, 30.0, math.inf)
"""The half-lives to choose from; for ever is the plain count."""


class DecayedCounts:
    """Events per item, each worth half as much one half-life later.

    Examples
    --------
    >>> counts = DecayedCounts(n_items=2, half_life_days=1)
    >>> counts.add(np.array([0, 0, 1]), np.array([0, 0, 2 * DAY_MS]))
    >>> counts.value.tolist()
    [0.5, 1.0]
    """

    def __init__(self, n_items: int, half_life_days: float) -> None:
        self.half_life_ms = half_life_days * DAY_MS
        self.value: NDArray[np.float64] = np.zeros(n_items)
        """Decayed counts as of the newest learnt event, (I,)."""
        self._now_ms = 0

    def add(self, item: NDArray[np.int32], ts_ms: NDArray[np.int64]) -> None:
        """Count events, the newest of which sets the clock."""
        if not item.size:
            return
        now_ms = max(self._now_ms, int(ts_ms.max()))
        self.value *= 2.0 ** ((self._now_ms - now_ms) / self.half_life_ms)
        self.value += np.bincount(
            item, 2.0 ** ((ts_ms - now_ms) / self.half_life_ms), minlength=self.value.size
        )
        self._now_ms = now_ms

    def log_share(self) -> NDArray[np.float64]:
        """Log of each item's share of all decayed events, one event added to the whole catalogue.

        The added event gives items without one a finite value; it is spread evenly.
        """
        prior = 1.0 / self.value.size
        share: NDArray[np.float64] = np.log((self.value + prior) / (self.value.sum() + 1.0))
        return share


class Popularity(FullRanking):
    """Ranks items by their decayed counts, the same for everybody."""

    def __init__(self, config: RankingConfig, half_life_days: float = 30.0) -> None:
        super().__init__(f"popularity {half_life_words(half_life_days)}", config)
        self.counts = DecayedCounts(config.n_items, half_life_days)

    def score(self, batch: Events, history_BT: NDArray[np.int32]) -> Scores:
        """Give the same scores to all."""
        # Places instead of values: single precision would tie items that have nearly faded.
        _, place_I = np.unique(self.counts.value, return_inverse=True)
        return np.tile(place_I.astype(np.float32), (batch.n_events, 1))

    def count(self, batch: Events, history_BT: NDArray[np.int32]) -> None:
        """Count the events."""
        self.counts.add(batch.item, batch.ts_ms)


def half_life_words(days: float) -> str:
    """Say a half-life in a table: ``30d``, or ``ever``."""
    return "ever" if math.isinf(days) else f"{days:g}d"
