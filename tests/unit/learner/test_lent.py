"""Vectors that are lent: their product says what the version ranks by."""

from __future__ import annotations

import numpy as np

from learner.config import LearnerConfig
from learner.lent import lend
from learner.online import OnlineLearner
from learner.ranker import Ranker
from learner.state import ranker_of, save_learner
from stream.events import Step
from tests.unit.learner.toy import CONFIG, START_MS, catalogue, habits, shelf

ITEMS = shelf("a", 8) + shelf("b", 8)


def test_a_users_vector_goes_best_with_what_follows() -> None:
    learner = OnlineLearner(catalogue(ITEMS), CONFIG)
    learner.learn_many(habits(240, 8))
    catalog = catalogue(ITEMS[::-1])
    ranker = ranker_of(save_learner(learner), catalog, "cpu")
    histories = [[Step(f"a{n}", "click", START_MS)] for n in range(8)] + [[]]
    lent = lend(ranker, histories, START_MS + 60_000)
    assert lent is not None
    assert lent.users_BD.shape == (9, 16) and lent.items_ID.shape == (16, 16)
    products_BI = lent.users_BD @ lent.items_ID.T
    kinds = [catalog.item(int(row)).item_id[0] for row in products_BI[:8].argmax(axis=1)]
    assert kinds.count("b") >= 6  # `a` is always followed by `b`
    assert not lent.users_BD[8].any()  # nothing is known of who did nothing


def test_what_has_learnt_nothing_lends_nothing() -> None:
    ranker = Ranker(catalogue(ITEMS), LearnerConfig(device="cpu", model=CONFIG.model))
    assert lend(ranker, [[]], START_MS) is None
    assert np.isfinite(ranker.catalog.vectors).all()
