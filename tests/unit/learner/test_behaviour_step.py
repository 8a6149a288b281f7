"""The transformer's step: what it draws, what it leaves alone, and what drift takes from it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from learner.batch import Histories, make_histories
from learner.behaviour import Behaviour
from learner.behaviour_step import BehaviourTrainer
from learner.optim import Adam
from learner.ranker import Ranker
from learner.update_rules.rule import Attempt, Single
from tests.bench.update_rules import WAYS, Figures, Settings, base, follow, load
from tests.unit.learner.toy import CONFIG, catalogue, habits, shelf

ITEMS = [*shelf("a", 6), *shelf("b", 6)]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Matrices this small are slower on two threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Watched(Single):
    """One adapter, and a note of each step's loss."""

    def __init__(self, model: Behaviour) -> None:
        super().__init__(model)
        self.losses: list[float] = []

    def loss(self, attempt: Attempt) -> torch.Tensor:
        self.losses.append(float(attempt.cross_entropy.detach()))
        return super().loss(attempt)


def ready() -> tuple[BehaviourTrainer, Histories, NDArray[np.int32]]:
    catalog = catalogue(ITEMS)
    ranker = Ranker(catalog, CONFIG)
    examples = habits(32, 6)
    past = make_histories(
        catalog,
        [e.history for e in examples],
        [e.ts_ms for e in examples],
        [1] * len(examples),
        CONFIG.model.steps,
    )
    target_B = catalog.rows(e.item_id for e in examples)
    ranker.experts.learn(target_B, past, len(catalog))
    ranker.residuals.reserve(len(catalog))
    return BehaviourTrainer(ranker), past, target_B


def test_steps_make_the_targets_likelier() -> None:
    trainer, past, target_B = ready()
    trainer.rule = watched = Watched(trainer.model)
    for n in range(60):
        trainer.step(past, target_B, 1.0, np.random.default_rng(n))
    assert watched.losses[-1] < 0.7 * watched.losses[0]


def test_without_a_step_size_nothing_moves_but_the_measure_of_gradients() -> None:
    trainer, past, target_B = ready()
    with torch.no_grad():
        trainer.model.output_DD.copy_(torch.eye(CONFIG.model.width))
    rows = np.unique(target_B).astype(np.int64)
    trainer.ranker.residuals.admit(rows, torch.zeros(len(rows), CONFIG.model.width))
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.step(past, target_B, 0.0, np.random.default_rng(0))
    assert all(torch.equal(p, before[n]) for n, p in trainer.model.named_parameters())
    assert not trainer.ranker.residuals.vectors_ID.any()
    assert bool((trainer.ranker.residuals.squares_I[torch.from_numpy(rows)] > 0).all())


def test_weights_begun_anew_have_no_moments() -> None:
    one, other = (torch.ones(1, requires_grad=True) for _ in range(2))
    adam = Adam({"one": one, "other": other}, {"one": 0.1, "other": 0.1})
    torch.autograd.backward((one + other).sum())
    adam.step()
    adam.forget(["one"])
    state = adam.state()
    assert not state["mean.one"].any() and not state["square.one"].any()
    assert state["mean.other"].all() and state["square.other"].all()


@cache
def drifted(way: str) -> list[Figures]:
    """Habits, other habits, the first again, and so on: figures for each change."""
    blocks, config = load("toy", seed=1)
    start = base(blocks, config, 20, lambda what: None)
    return follow(WAYS[way], start, config, Settings("next", 20, 5, 1024), lambda what: None)


@pytest.mark.parametrize("keeps", ["single+replay"])
def test_when_habits_come_back_who_kept_them_knows_them_and_who_did_not_has_forgotten(
    keeps: str,
) -> None:
    _, back, others, again = drifted("single")
    _, back_kept, others_kept, again_kept = drifted(keeps)
    assert back_kept.ndcg10 > 1.3 * back.ndcg10
    assert others_kept.ndcg10 > 1.15 * others.ndcg10
    assert again_kept.ndcg10 > 1.1 * again.ndcg10
