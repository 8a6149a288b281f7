"""What makes pretraining robust: views of histories, and vectors moved where it hurts."""

from __future__ import annotations

import msgspec
import numpy as np
import torch

from learner.behaviour import Behaviour
from learner.config import ModelConfig
from learner.pretraining import Pretraining
from learner.pretraining_config import PretrainConfig
from learner.sequences import lay_out, windows_of
from learner.tower import Residuals
from learner.views import likeness_loss, two_views

ITEMS = 30
CONFIG = PretrainConfig(batch=8, steps=6, negatives=16, dropout=0.0)
LOG = lay_out(
    np.repeat(np.arange(20), 7),
    np.random.default_rng(0).integers(0, ITEMS, 140),
    np.arange(140) * 60_000,
)


def begun(config: PretrainConfig) -> Pretraining:
    model = Behaviour(ModelConfig(width=16, layers=1, heads=2), 8, seed=1)
    names = [f"item-{n}" for n in range(ITEMS)]
    return Pretraining(model, Residuals(16), None, LOG, config, item_ids=names)


def loss(config: PretrainConfig) -> float:
    one = begun(config)
    with one.student.learning(0.0):
        return float(one.objective.loss(one.windows, np.random.default_rng(0)).detach())


def test_vectors_that_are_moved_raise_the_loss_and_the_more_the_further() -> None:
    plain, near, far = (
        loss(msgspec.structs.replace(CONFIG, adversarial=share)) for share in (0.0, 0.05, 0.2)
    )
    assert plain < near < far
    assert near - plain < 0.5 * (far - plain)


def test_views_of_one_history_are_found_more_easily_than_by_chance() -> None:
    one, windows = begun(CONFIG), windows_of(LOG, 6)
    with one.student.learning(0.0), torch.no_grad():
        users = two_views(one.student, LOG, windows, 0.0, np.random.default_rng(0))
    assert users.shape == (2 * len(windows), 16)
    shuffled = torch.cat([users[: len(windows)], users[len(windows) :].roll(1, 0)])
    assert float(likeness_loss(users)) < float(likeness_loss(shuffled)) - 0.2


def test_the_likeness_of_views_is_learnt_when_asked_for() -> None:
    assert loss(msgspec.structs.replace(CONFIG, contrast=0.5)) > loss(CONFIG) + 0.1
    one = begun(msgspec.structs.replace(CONFIG, contrast=1.0, rate=1e-2, warmup=0))
    generator = np.random.default_rng(0)

    def alike() -> float:
        with one.student.learning(0.0), torch.no_grad():
            windows = one.windows
            views = two_views(one.student, LOG, windows, 0.0, np.random.default_rng(5))
            return float(likeness_loss(views))

    before = alike()
    with one.student.learning(0.0):
        for _ in range(15):
            one._step(one.windows, generator)
    assert alike() < before - 0.1
