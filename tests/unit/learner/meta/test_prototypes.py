"""Prototypes: what episodes teach, and what untrained maps leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from learner.meta.config import EpisodeConfig
from learner.meta.prototypes import (
    PrototypeMap,
    Prototypes,
    class_means,
    draw_episode,
    learn_map,
    nearness,
)

CONFIG = EpisodeConfig(rank=8, ways=6, shots=1, episodes=120, rate=5e-3, decay=0.0, dropout=0.0)


def loud(classes: int, members: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors of which four numbers say the class; twelve are three times as loud and say none."""
    random = np.random.default_rng(seed)
    label_N = np.repeat(np.arange(classes), members)
    vector_NE = random.normal(size=(len(label_N), 16))
    vector_NE[:, :4] = random.normal(size=(classes, 4))[label_N]
    vector_NE[:, 4:] *= 3.0
    vector_NE /= np.linalg.norm(vector_NE, axis=1, keepdims=True)
    return vector_NE.astype(np.float32), label_N


def accuracy(
    learnt: PrototypeMap, vector_NE: NDArray[np.float32], label_N: NDArray[np.int64]
) -> float:
    generator, right = np.random.default_rng(0), []
    with torch.no_grad():
        mapped = learnt(torch.from_numpy(vector_NE))
    for _ in range(40):
        drawn = draw_episode(label_N, 6, 1, 3, generator)
        means = class_means(mapped[drawn.support_N], torch.from_numpy(drawn.support_class_N), 6)
        told = nearness(mapped[drawn.query_N], means).argmax(dim=1).numpy()
        right.append(float((told == drawn.query_class_N).mean()))
    return float(np.mean(right))


def test_a_learnt_map_tells_classes_that_it_never_saw() -> None:
    learnt = learn_map(*loud(30, 6, seed=1), CONFIG)
    new = loud(12, 6, seed=2)
    raw = accuracy(PrototypeMap(16, 8, seed=0), *new)
    assert accuracy(learnt, *new) > raw + 0.15


def test_where_nothing_is_to_be_learnt_the_map_stays_the_identity() -> None:
    random = np.random.default_rng(0)
    label_N = np.repeat(np.arange(12), 4)
    vector_NE = np.eye(16, dtype=np.float32)[label_N]
    vector_NE += random.normal(scale=0.01, size=vector_NE.shape).astype(np.float32)
    learnt = learn_map(vector_NE, label_N, EpisodeConfig(episodes=30, rate=0.5, decay=0.0))
    assert not learnt.up_RE.any()


def test_two_runs_with_one_seed_are_equal_and_draw_from_nobody_else() -> None:
    data = loud(8, 4, seed=1)
    before = torch.get_rng_state()
    one, two = (learn_map(*data, EpisodeConfig(episodes=5, ways=4)) for _ in range(2))
    assert torch.equal(one.up_RE, two.up_RE)
    assert torch.equal(before, torch.get_rng_state())


def test_one_class_is_too_few() -> None:
    with pytest.raises(ValueError, match="two classes"):
        learn_map(np.ones((3, 4), np.float32), np.zeros(3, np.int64), EpisodeConfig())


def test_support_and_query_never_overlap() -> None:
    label_N = np.repeat(np.arange(5), 7)
    for seed in range(20):
        drawn = draw_episode(label_N, 4, 3, 9, np.random.default_rng(seed))
        assert not set(drawn.support_N) & set(drawn.query_N)
        assert (label_N[drawn.support_N].reshape(4, 3) == label_N[drawn.support_N[::3], None]).all()


def test_feedback_moves_a_class_and_the_newest_says_most() -> None:
    classes = Prototypes(width=2, memory=5.0)
    for _ in range(20):
        classes.add("a", np.array([[1.0, 0.0]], np.float32))
        classes.add("b", np.array([[-1.0, 0.0]], np.float32))
    for _ in range(20):
        classes.add("a", np.array([[0.0, 1.0]], np.float32))
    assert classes.tell(np.array([[0.0, 1.0]], np.float32)) == ["a"]
    assert classes.tell(np.array([[-0.2, 0.1]], np.float32)) == ["b"]
