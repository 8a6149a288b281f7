"""Rank examples by a ranker that is not taught by them: a frozen one, a published version."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learner.batch import histories_of
from learner.measures import MISS, ranks
from learner.ranker import Ranker
from stream.events import Example


def rank_by(ranker: Ranker, examples: Sequence[Example]) -> NDArray[np.float64]:
    """The ranks that a ranker gives the examples' items; one that is unknown is a miss."""
    target_N = ranker.catalog.rows(example.item_id for example in examples)
    known = np.flatnonzero(target_N >= 0)
    rank_N = np.full(len(examples), MISS)
    if not len(known):
        return rank_N
    past = histories_of(ranker.catalog, examples, ranker.config.model.steps).take(known)
    for part, scored in ranker.score_many(past, target_B=target_N[known]):
        rank_N[known[part]] = ranks(scored.score_BK, scored.real_BK, scored.target_B)
    return rank_N
