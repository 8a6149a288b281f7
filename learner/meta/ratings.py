"""Ratings of a user from a few of theirs: a head that adapts, on items that are learnt.

Legend: `B` tasks, `N` entries of a task, `I` items, `U` distinct ones, `D` width of an item,
`E` width of its text.

A rating is the head times what is known of the item: what all gave it on the mean, and a vector of
its own plus its text's, projected. What a user gives on the mean is taken out of the support first;
the order of a user's items doesn't depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.meta.maml import Start, squared_slope

SHRUNK_BY = 5.0
"""Ratings at the mean that each item begins with: fewer trust a single one more."""


class Rated(NamedTuple):
    """Some ratings of one task."""

    items_N: NDArray[np.int64]
    ratings_N: NDArray[np.float32]


class RatingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How the rating model is made and trained."""

    width: int = 16
    steps: int = 5
    rate: float = 0.3
    epochs: int = 10
    batch: int = 64
    learning_rate: float = 6e-3
    decay: float = 0.0
    dropout: float = 0.5
    query: int = 10
    seed: int = 0


class RatingModel(nn.Module):
    """Items and the start of every head. The first feature is the item's mean rating."""

    mean_I: Tensor
    text_IE: Tensor

    def __init__(
        self, tasks: Sequence[Rated], items: int, config: RatingConfig, text_IE: Tensor | None
    ) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(config.seed)
        mean_I = item_means(tasks, items)
        self.register_buffer("mean_I", torch.from_numpy(mean_I))
        self.register_buffer("text_IE", torch.zeros(items, 1) if text_IE is None else text_IE)
        self.own_ID = nn.Parameter(torch.randn(items, config.width, generator=generator) * 0.1)
        width = self.text_IE.shape[1]
        self.project_DE = nn.Parameter(torch.randn(config.width, width, generator=generator) * 0.1)
        first_D = torch.zeros(1 + config.width)
        first_D[0] = 1.0
        self.start = Start(first_D, config.rate)

    def features(self, items_BN: Tensor) -> Tensor:
        """What the head is multiplied with, (B, N, 1 + D)."""
        rows_U, at_BN = torch.unique(items_BN, return_inverse=True)
        vector_UD = self.own_ID[rows_U] + self.text_IE[rows_U] @ self.project_DE.T
        vector_UD = nn.functional.dropout(vector_UD, self.config.dropout, self.training)
        known_UD = torch.cat([self.mean_I[rows_U, None], vector_UD], dim=1)
        return nn.functional.embedding(at_BN, known_UD)

    def forward(self, support: Batch, query_BN: Tensor) -> Tensor:
        """How much more or less than on the mean each task rates its queries, (B, N)."""
        x_BND = self.features(support.items_BN)
        count_B1 = support.real_BN.sum(dim=1, keepdim=True).clamp(min=1)
        real_BN1 = support.real_BN[..., None]
        mean_B1D = (x_BND * real_BN1).sum(dim=1, keepdim=True) / count_B1[..., None]
        y_BN = support.ratings_BN
        y_BN = y_BN - (y_BN * support.real_BN).sum(dim=1, keepdim=True) / count_B1
        slope = squared_slope((x_BND - mean_B1D) * real_BN1, y_BN, support.real_BN)
        head_BD = self.start.adapt(slope, len(y_BN), self.config.steps)
        return torch.einsum("bnd,bd->bn", self.features(query_BN) - mean_B1D, head_BD)


class Batch(NamedTuple):
    """Ratings of several tasks, padded."""

    items_BN: Tensor
    ratings_BN: Tensor
    real_BN: Tensor


def batch_of(tasks: Sequence[Rated]) -> Batch:
    """Lay tasks out side by side."""
    longest = max(1, max((len(task.items_N) for task in tasks), default=1))
    items = np.zeros((len(tasks), longest), np.int64)
    ratings, real = np.zeros((2, len(tasks), longest), np.float32)
    for b, task in enumerate(tasks):
        n = len(task.items_N)
        items[b, :n], ratings[b, :n], real[b, :n] = task.items_N, task.ratings_N, 1.0
    return Batch(torch.from_numpy(items), torch.from_numpy(ratings), torch.from_numpy(real))


def item_means(
    tasks: Sequence[Rated], items: int, shrunk_by: float = SHRUNK_BY
) -> NDArray[np.float32]:
    """Each item's rating above or below the mean, shrunk towards none.

    >>> task = Rated(np.array([0, 1, 1]), np.array([5.0, 2.0, 2.0], np.float32))
    >>> [round(float(x), 2) for x in item_means([task], 3, shrunk_by=0.5)]
    [1.33, -0.8, 0.0]
    """
    item_N = np.concatenate([task.items_N for task in tasks])
    rating_N = np.concatenate([task.ratings_N for task in tasks])
    above_I = np.bincount(item_N, rating_N - rating_N.mean(), minlength=items)
    count_I = np.bincount(item_N, minlength=items)
    return (above_I / (count_I + shrunk_by)).astype(np.float32)


def train(
    tasks: Sequence[Rated],
    items: int,
    config: RatingConfig,
    text_IE: Tensor | None = None,
    after_epoch: Callable[[RatingModel, int, float], bool] = lambda model, epoch, loss: True,
) -> RatingModel:
    """Learn items and start from many tasks, each cut anew into support and query at every visit.

    `after_epoch` is given the model, the epoch and its mean loss; it may end the training.
    """
    model = RatingModel(tasks, items, config, text_IE)
    optimizer = torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.decay
    )
    generator = np.random.default_rng(config.seed)
    for epoch in range(1, config.epochs + 1):
        total = 0.0
        model.train()
        order = generator.permutation(len(tasks))
        for first in range(0, len(order), config.batch):
            cut = [
                _cut(tasks[t], config.query, generator) for t in order[first : first + config.batch]
            ]
            support, query = (batch_of(part) for part in zip(*cut, strict=True))
            said_BN = model(support, query.items_BN)
            loss = _loss(said_BN, query)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total += float(loss.detach()) * len(cut)
        model.eval()
        if not after_epoch(model, epoch, total / len(order)):
            break
    return model


def _cut(task: Rated, query: int, generator: np.random.Generator) -> tuple[Rated, Rated]:
    order = generator.permutation(len(task.items_N))
    parts = order[:-query], order[-query:]
    support, asked = (Rated(task.items_N[part], task.ratings_N[part]) for part in parts)
    return support, asked


def _loss(said_BN: Tensor, query: Batch) -> Tensor:
    """Mean squared error of what is above or below each task's mean."""
    count_B1 = query.real_BN.sum(dim=1, keepdim=True)

    def centred(value_BN: Tensor) -> Tensor:
        return value_BN - (value_BN * query.real_BN).sum(dim=1, keepdim=True) / count_B1

    off_BN = (centred(said_BN) - centred(query.ratings_BN)) * query.real_BN
    return off_BN.square().sum() / query.real_BN.sum()
