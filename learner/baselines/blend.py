"""Fixed blends of log-popularity and log co-visitation: no learning, and hard to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.baselines.covisitation import Evidence
from learner.baselines.full_ranking import FullRanking, RankingConfig, Scores
from learner.baselines.popularity import DecayedCounts, half_life_words
from learner.baselines.protocol import Events

WEIGHTS = (1.0, 2.0, 4.0, 8.0)
"""Weights of the evidence to choose from. The higher, the nearer to co-visitation that falls back
on popularity."""


class Blend(FullRanking):
    """Scores an item by ``log popularity + weight * log(floor + evidence)``.

    Parameters
    ----------
    config
        What is ranked, and with which knowledge.
    evidence
        Co-visitation of either kind, owned by this model.
    weight
        Of the evidence.
    half_life_days
        Of the popularity.
    floor
        What no evidence at all is worth, in units of evidence: smaller floors let one
        observation overrule more popularity.
    kind
        What the evidence is called in the model's name.
    """

    def __init__(
        self,
        config: RankingConfig,
        evidence: Evidence,
        *,
        weight: float = 2.0,
        half_life_days: float = 30.0,
        floor: float = 0.01,
        kind: str = "window",
    ) -> None:
        words = f"blend {half_life_words(half_life_days)} + {weight:g} {kind}"
        super().__init__(words, config)
        self.evidence = evidence
        self.counts = DecayedCounts(config.n_items, half_life_days)
        self.weight = weight
        self.floor = floor

    def score(self, batch: Events, history_BT: NDArray[np.int32]) -> Scores:
        """Add the two logs."""
        scores_BI = self.evidence.weigh(history_BT)
        scores_BI += np.float32(self.floor)
        np.log(scores_BI, out=scores_BI)
        scores_BI *= np.float32(self.weight)
        scores_BI += self.counts.log_share().astype(np.float32)
        return scores_BI

    def count(self, batch: Events, history_BT: NDArray[np.int32]) -> None:
        """Count popularity and evidence."""
        self.counts.add(batch.item, batch.ts_ms)
        self.evidence.count(batch, history_BT)
