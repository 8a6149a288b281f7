"""A history is pretrained on before it goes on, and nothing of what comes after is known then."""

from __future__ import annotations

import msgspec
import numpy as np

from learner.batch import make_histories
from learner.config import LearnerConfig, ModelConfig
from learner.evaluation_pretraining import Rest, pretrain_on
from learner.online import OnlineLearner
from learner.pretraining_config import PretrainConfig
from stream.events import Event
from tests.unit.learner.toy import catalogue, example, shelf

ITEMS = shelf("a", 24)
CONFIG = LearnerConfig(device="cpu", model=ModelConfig(width=16, transformer_steps=8))
PASSES = PretrainConfig(epochs=3, batch=16, rate=0.01, warmup=5, steps=8)


def round_trips(users: int, length: int = 8) -> list[Event]:
    """Everybody goes along the shelf, from wherever they begin."""
    events = [
        Event(
            event_id=f"{user}-{n}",
            user_id=f"u{user}",
            item_id=f"a{(user * 7 + n) % len(ITEMS)}",
            kind="view",
            ts_ms=n * 60_000 + user,
            source="",
            received_ms=0,
        )
        for user in range(users)
        for n in range(length)
    ]
    return sorted(events, key=lambda event: event.ts_ms)


def transformer_scores(learner: OnlineLearner) -> np.ndarray:
    one = example(99, "a5", ["a2", "a3", "a4"])
    past = make_histories(learner.catalog, [one.history], [one.ts_ms], [3], 8)
    behaviour_BI = learner.ranker._behaviour(past)
    return np.zeros(0) if behaviour_BI is None else behaviour_BI.detach().numpy()[0]


def test_the_pretrained_transformer_says_what_comes_next() -> None:
    learner = OnlineLearner(catalogue(ITEMS), CONFIG)
    told: list[tuple[int, int]] = []
    pretrain_on(learner, round_trips(200), PASSES, lambda done, total: told.append((done, total)))
    learner.ranker.trained = True
    assert transformer_scores(learner).argmax() == learner.catalog.row("a5")
    assert told[-1][0] == told[-1][1]


def test_while_it_rests_the_learner_learns_without_it_and_its_weights_stay() -> None:
    learner = OnlineLearner(catalogue(ITEMS), CONFIG)
    assert learner.ranker.behaviour is not None
    before = {n: p.detach().clone() for n, p in learner.ranker.behaviour.named_parameters()}
    rest = Rest(learner)
    learner.learn_many([example(n, f"a{n % 20}", [f"a{n % 20 - 1}"]) for n in range(1, 60)])
    assert learner.learnt and transformer_scores(learner).size == 0
    rest.wake()
    after = dict(learner.ranker.behaviour.named_parameters())
    assert all(bool((after[name] == value).all()) for name, value in before.items())


def test_users_with_one_event_each_teach_nothing() -> None:
    learner = OnlineLearner(catalogue(ITEMS), CONFIG)
    pretrain_on(learner, round_trips(30, length=1), PASSES, lambda done, total: None)
    assert not learner.ranker.residuals.admitted_I.any()


def test_the_seed_decides() -> None:
    scores = []
    for seed in (1, 1, 2):
        learner = OnlineLearner(catalogue(ITEMS), CONFIG)
        passes = msgspec.structs.replace(PASSES, epochs=1, seed=seed)
        pretrain_on(learner, round_trips(40), passes, lambda done, total: None)
        learner.ranker.trained = True
        scores.append(transformer_scores(learner))
    assert np.array_equal(scores[0], scores[1]) and not np.array_equal(scores[0], scores[2])
