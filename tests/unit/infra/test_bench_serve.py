"""The big shop is what its head says, and the bars of serving hold when they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from features.catalog import Catalog
from infra.bench.big_shop import GROUP, BigShop
from infra.bench.serve import bars
from infra.scorer_models import ScorerModels
from learner.config import LearnerConfig
from serving.ask import Ask
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.recommend import Recommender
from stream.clock import ManualClock

NOW_MS = 1_780_000_000_000


def loop(**other: float) -> dict[str, float]:
    figures = {"by_model": 1.0, "listed": 10.0, "rate": 1_200.0, "unanswered": 0.0}
    for name in ("wait", "inside", "features"):
        figures |= {f"{name}_p{percent}": 5.0 for percent in (50, 90, 99)}
    return {**figures, **other}


def test_bars_hold_on_both_sides_of_their_limits() -> None:
    held = {bar.name: bar.holds for bar in bars(loop(), loop(), loop())}
    assert held["serve/rate"] and held["serve/scoring-p90"] and held["serve/scoring-p99"]
    slow = {
        bar.name: bar.holds
        for bar in bars(loop(), loop(rate=999.0), loop(inside_p90=7.5, inside_p99=26.0))
    }
    assert not (slow["serve/rate"] or slow["serve/scoring-p90"] or slow["serve/scoring-p99"])


def test_short_lists_and_answers_without_the_model_hold_nothing() -> None:
    for poor in (loop(by_model=0.5), loop(listed=3.0)):
        assert not any(bar.holds for bar in bars(loop(), poor, loop()))


def test_items_of_a_group_are_alike_and_users_know_them() -> None:
    shop = BigShop(items=2 * GROUP, users=3, now_ms=NOW_MS, width=64)
    items = list(shop.item_vectors())
    vectors = np.stack([np.frombuffer(item.vector, "<f2") for item in items]).astype(np.float32)
    alike = vectors @ vectors.T
    assert abs(np.linalg.norm(vectors, axis=1) - 1).max() < 0.01
    assert alike[0, 1:GROUP].mean() > 0.5 > alike[0, GROUP:].mean() + 0.3
    known = {item.item_id for item in items}
    for user in shop.features():
        assert known.issuperset(user.recent_items)
        assert 5 <= len(user.recent_items) <= 50


def test_its_version_is_trained_and_ranks(tmp_path: Path) -> None:
    shop = BigShop(items=300, users=4, now_ms=NOW_MS, width=32)
    index = ItemIndex(Catalog(32))
    index.upsert(list(shop.item_vectors()))
    announced = shop.version(index.catalog, tmp_path, counted=64)
    models = ScorerModels(LearnerConfig(device="cpu"))
    ranker = models.bind(announced, models.load(announced), index.catalog)
    recommender = Recommender(index, ranker, ServingConfig(), ManualClock(NOW_MS))
    users = list(shop.features())
    asks = [
        Ask(recommendation_id=u.user_id, request_id="r", user_id=u.user_id, k=10) for u in users
    ]
    answers = recommender.answer_many(asks, users)
    assert [len(answer.items) for answer in answers] == [10] * 4
    assert {answer.path for answer in answers} == {"model"}
