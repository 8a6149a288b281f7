"""Heads that adapt: written slopes, first order, what training brings, what is kept on disk."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray

from learner.meta.config import EpisodeConfig, MetaConfig, TasteConfig
from learner.meta.maml import Slope, Start, choice_slope, squared_slope
from learner.meta.ratings import Rated, RatingConfig, batch_of, train
from learner.meta.taste import Taste, learn_taste, windows_of_users
from learner.meta.trained import from_bytes, to_bytes, train_meta
from learner.sequences import Sequences, lay_out


def slope_by_autograd(loss: torch.Tensor, head_BD: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, head_BD)[0]


def test_slopes_are_those_of_their_losses() -> None:
    torch.manual_seed(0)
    x, y, head = torch.randn(2, 5, 3), torch.randn(2, 5), torch.randn(2, 3, requires_grad=True)
    real = torch.tensor([[1.0, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    said = torch.einsum("bnd,bd->bn", x, head)
    squared = ((said - y).square() * real / real.sum(dim=1, keepdim=True)).sum() / 2
    torch.testing.assert_close(
        squared_slope(x, y, real)(head.detach()), slope_by_autograd(squared, head)
    )
    others, offset = torch.randn(7, 3), torch.randn(7)
    share = real / real.sum(dim=1, keepdim=True)
    total = (head @ others.T + offset).logsumexp(dim=1)
    said = torch.einsum("bnd,bd->bn", x, head)
    chosen = (share * (total[:, None] - said)).sum()
    torch.testing.assert_close(
        choice_slope(x, real, others, offset)(head.detach()), slope_by_autograd(chosen, head)
    )


def test_no_second_derivatives_and_nothing_moves_without_support() -> None:
    start = Start(torch.tensor([1.0, 2.0]), rate=0.5)
    asked: list[bool] = []

    def slope(head_BD: torch.Tensor) -> torch.Tensor:
        asked.append(torch.is_grad_enabled())
        return head_BD * 2.0

    torch.autograd.backward(start.adapt(slope, 3, 2).sum())
    assert asked == [False, False]
    assert start.start_D.grad is not None
    assert start.start_D.grad.tolist() == [3.0, 3.0]  # as if the steps weren't there
    nothing: Slope = choice_slope(
        torch.ones(1, 2, 2), torch.zeros(1, 2), torch.ones(4, 2), torch.zeros(4)
    )
    assert start.adapt(nothing, 1, 3)[0].tolist() == [1.0, 2.0]


def opposed(count: int, seed: int) -> list[Rated]:
    """Users who love the first half of 20 items and hate the rest, or the other way round."""
    random = np.random.default_rng(seed)
    tasks = []
    for _ in range(count):
        items = random.permutation(20)
        likes = (items < 10) == (random.random() < 0.5)
        tasks.append(Rated(items.astype(np.int64), np.where(likes, 5.0, 1.0).astype(np.float32)))
    return tasks


def test_a_rating_head_learns_to_adapt() -> None:
    config = RatingConfig(width=4, epochs=12, batch=16, dropout=0.0, learning_rate=0.02)
    model = train(opposed(120, seed=0), 20, config)
    right = []
    for task in opposed(20, seed=1):
        support = batch_of([Rated(task.items_N[:4], task.ratings_N[:4])])
        with torch.no_grad():
            said_N = model(support, torch.from_numpy(task.items_N[None, 4:])).numpy()[0]
        liked_N = task.ratings_N[4:] > 3.0
        right.append(said_N[liked_N].min() > said_N[~liked_N].max())
    assert np.mean(right) >= 0.9


def shelves(users: int) -> tuple[NDArray[np.float32], Sequences]:
    """Two shelves of 15 items; each user stays at one."""
    random = np.random.default_rng(0)
    shelf = random.integers(0, 2, users)
    row_N = (random.integers(0, 15, (users, 6)) + 15 * shelf[:, None]).ravel()
    vector = random.normal(size=(30, 8)) * 0.6
    vector[:15, 0] += 1.0
    vector[15:, 0] -= 1.0
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    time_N = np.tile(np.arange(6, dtype=np.int64), users)
    return vector.astype(np.float32), lay_out(np.repeat(np.arange(users), 6), row_N, time_N)


CONFIG = MetaConfig(
    prototypes=EpisodeConfig(episodes=20, rank=4), taste=TasteConfig(width=4, epochs=2)
)


def test_a_taste_follows_one_item() -> None:
    vector_IE, sequences = shelves(60)
    taste = learn_taste(vector_IE, sequences, TasteConfig(width=4, epochs=4, learning_rate=0.05))
    text = torch.from_numpy(vector_IE)
    with torch.no_grad():
        score = taste.items(text) @ taste.heads(text[[3]][:, None], torch.ones(1, 1))[0]
        other = taste.items(text) @ taste.heads(text[[20]][:, None], torch.ones(1, 1))[0]
    assert score[:15].mean() > score[15:].mean() + 0.5
    assert other[15:].mean() > other[:15].mean() + 0.5


def test_windows_show_what_came_first_and_ask_for_what_came_next() -> None:
    found = windows_of_users(
        lay_out(np.array([0, 0, 0]), np.array([7, 8, 9]), np.arange(3, dtype=np.int64)),
        TasteConfig(support=2, queries=2),
    )
    assert found.support_NT.tolist() == [[-1, -1], [-1, 7], [7, 8]]
    assert found.query_NQ.tolist() == [[7, 8], [8, 9], [9, -1]]


def test_what_is_kept_says_the_same() -> None:
    vector_IE, sequences = shelves(20)
    trained = train_meta(vector_IE, sequences, CONFIG)
    again = from_bytes(to_bytes(trained))
    text = torch.from_numpy(vector_IE)
    with torch.no_grad():
        assert torch.equal(trained.map(text), again.map(text))
        one, two = (t.taste.heads(text[None, :3], torch.ones(1, 3)) for t in (trained, again))
    assert torch.equal(one, two)


def test_one_user_is_adapted_within_fifty_milliseconds() -> None:
    taste = Taste(torch.randn(256, 384), torch.zeros(256), TasteConfig())
    took = []
    with torch.no_grad():
        for _ in range(20):
            began = time.process_time()
            taste.heads(torch.randn(1, 5, 384), torch.ones(1, 5))
            took.append(time.process_time() - began)
    assert float(np.median(took)) < 0.05
