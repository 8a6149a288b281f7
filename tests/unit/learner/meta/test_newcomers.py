"""The layer for users with few events: whom it touches, what it learns, how it comes back."""

from __future__ import annotations

import numpy as np
import torch
from msgspec.structs import replace

from infra.scorer_models import VersionedScorer
from learner.batch import Histories, histories_of
from learner.meta.cold import WINDOWS, Pulse, cold_features
from learner.meta.config import MetaConfig
from learner.meta.newcomers import SEGMENTS, Newcomers
from learner.online import OnlineLearner
from learner.referee import Referee
from learner.scorer import Scorer
from learner.snapshot import Saved
from learner.state import load_learner, save_learner
from stream.events import Example
from stream.metrics import REGISTRY
from tests.unit.learner import toy

CONFIG = replace(toy.CONFIG, meta=MetaConfig(few=2, candidates=3))


def fashion(count: int, seed: int = 0) -> list[Example]:
    """Everybody takes one item for fifty events, then everybody another; times stand still."""
    random = np.random.default_rng(seed)
    found = []
    for n in range(count):
        now = f"a{(n // 50) % 9}" if random.random() < 0.8 else f"b{random.integers(9)}"
        found.append(replace(toy.example(0, now), event_id=f"e{n}", offset=n))
    return found


def shop() -> list[str]:
    return toy.shelf("a", 9) + toy.shelf("b", 9)


def told(metric: str, events: str) -> float:
    return REGISTRY.get_sample_value(metric, {"events": events}) or 0.0


def gain(learner: OnlineLearner, examples: list[Example]) -> float:
    return learner.learn_many(examples).ndcg10


def test_newcomers_are_shown_what_is_taken_now() -> None:
    without = gain(OnlineLearner(toy.catalogue(shop()), toy.CONFIG), fashion(400))
    learner = OnlineLearner(toy.catalogue(shop()), CONFIG)
    assert gain(learner, fashion(400)) > without * 1.1
    assert learner.ranker.newcomers is not None
    assert learner.ranker.newcomers.lost_S2[0, 1] < learner.ranker.newcomers.lost_S2[0, 0]
    assert learner.ranker.newcomers.counts_S[0] > 0.9
    Referee(learner, sample=4).judge([], learner.learn_many([]))
    assert told("tidemill_newcomers_weight", "none") == learner.ranker.newcomers.counts_S[0]


def test_who_has_enough_events_is_not_touched() -> None:
    layer = Newcomers(CONFIG.meta)
    layer.weights_SG[:, 1:] = 5.0
    layer.pulse.learn(np.array([3, 3, 4]), items=18)
    past = toy_past([["a1", "a2"], ["a1"], []])
    rows_BK = np.tile(np.arange(18, dtype=np.int32), (3, 1))
    score_BK = np.zeros((3, 18), np.float32)
    scored_BK = layer.rescore(past, rows_BK, score_BK, np.zeros((18, toy.WIDTH), np.float32))
    assert layer.take_ranked() == dict.fromkeys(SEGMENTS, 1)
    assert layer.take_ranked() == dict.fromkeys(SEGMENTS, 0)
    assert not scored_BK[0].any()
    assert (scored_BK[1:].argmax(axis=1) == 3).all()
    assert (layer.tops(past, np.ones(18, np.bool_))[0] == -1).all()
    assert set(layer.tops(past, np.ones(18, np.bool_))[1]) == {3, 4}


def toy_past(histories: list[list[str]]) -> Histories:
    examples = [toy.example(9, "a0", past) for past in histories]
    return histories_of(toy.catalogue(shop()), examples, 8)


def test_a_layer_that_loses_counts_for_nothing() -> None:
    layer = Newcomers(CONFIG.meta)
    layer.weights_SG[:, 1:] = 5.0
    layer.pulse.learn(np.array([3]), items=18)
    layer.lost_S2[:] = [10.0, 90.0]
    past, rows_BK = toy_past([[]]), np.arange(18, dtype=np.int32)[None]
    score_BK = np.zeros((1, 18), np.float32)
    scored_BK = layer.rescore(past, rows_BK, score_BK, np.zeros((18, toy.WIDTH), np.float32))
    np.testing.assert_allclose(scored_BK, 0.0, atol=1e-12)


def test_features_of_padding_and_without_a_base_are_zero() -> None:
    past, rows_BK = toy_past([["a1"]]), np.array([[2, -1]], np.int32)
    now_BKW = np.ones((1, 2, len(WINDOWS)), np.float32)
    found = cold_features(past, rows_BK, now_BKW, np.ones((18, toy.WIDTH), np.float32), None)
    assert found[0, 0].tolist() == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    assert not found[0, 1].any()


def test_a_layer_that_was_kept_goes_on_bit_by_bit() -> None:
    examples = fashion(300)
    whole = OnlineLearner(toy.catalogue(shop()), CONFIG)
    whole.learn_many(examples[:160])
    saved = save_learner(whole)
    arrays = {name: np.array(array) for name, array in saved.arrays.items()}
    again = OnlineLearner(toy.catalogue(shop()), CONFIG)
    turned = OnlineLearner(toy.catalogue(list(reversed(shop()))), CONFIG)
    for later in (again, turned):
        load_learner(later, Saved(arrays, saved.meta))
    here, there = whole.ranker.newcomers, turned.ranker.newcomers
    assert here is not None
    assert there is not None
    np.testing.assert_array_equal(here.weights_SG, there.weights_SG)
    at = [turned.catalog.row(item_id) for item_id in shop()]
    np.testing.assert_array_equal(here.pulse.counts_WI[:, : len(at)], there.pulse.counts_WI[:, at])
    assert gain(whole, examples[160:]) == gain(again, examples[160:])


def test_the_pulse_forgets_by_events() -> None:
    pulse = Pulse()
    pulse.learn(np.array([0] * 10), items=2)
    for _ in range(100):
        pulse.learn(np.array([1] * 10), items=2)
    shares_BKW = pulse.log_shares(np.array([[0, 1]], np.int32), items=2)
    assert shares_BKW[0, 0, 0] < 0.01
    assert (shares_BKW[0, 1] > 0.2).all()
    assert torch.from_numpy(shares_BKW).isfinite().all()


def test_serving_counts_the_newcomers_that_it_answers() -> None:
    learner = OnlineLearner(toy.catalogue(shop()), CONFIG)
    learner.learn_many(fashion(64))
    serving = VersionedScorer(Scorer(learner.ranker), 1, 0)
    learner.ranker.newcomers.take_ranked()  # type: ignore[union-attr]
    before = {events: told("tidemill_newcomers_ranked_total", events) for events in SEGMENTS}
    serving.rank_many([(), (), toy.example(9, "a0", ["a1"]).history], 0, 3, None, ())
    after = {events: told("tidemill_newcomers_ranked_total", events) for events in SEGMENTS}
    assert {events: after[events] - before[events] for events in SEGMENTS} == {"none": 2, "some": 1}
