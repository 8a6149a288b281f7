"""Prototypes: a class is the mean of its examples, in a space that is learnt for this.

Legend: `N` examples, `C` classes, `E` width of text vectors, `R` rank of the map.

Prototypical networks (Snell, Swersky & Zemel 2017): what is near a class's prototype belongs to it.
The map starts as the identity, so that untrained it is the nearest mean of raw vectors, and adds
what episodes teach through few dimensions. A class may be a category, a brand, or a user's taste.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.meta.config import EpisodeConfig

HELD = 5
"""One class in so many is held out, where there are twice as many."""

EXAM_EVERY, EXAMS = 25, 60
"""Episodes between two looks at the held-out classes, and episodes of a look."""


class PrototypeMap(nn.Module):
    """From text vectors to the space in which prototypes are means; lengths become 1.

    >>> same = PrototypeMap(width=4, rank=2, seed=0)
    >>> same(torch.tensor([[0.0, 3.0, 0.0, 4.0]])).tolist()
    [[0.0, 0.6000000238418579, 0.0, 0.800000011920929]]
    """

    def __init__(self, width: int, rank: int, seed: int, dropout: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.down_ER = nn.Parameter(torch.randn(width, rank, generator=generator) / width**0.5)
        self.up_RE = nn.Parameter(torch.zeros(rank, width))
        self.dropout = dropout

    def forward(self, vector_NE: Tensor) -> Tensor:
        """Map vectors."""
        read_NE = nn.functional.dropout(vector_NE, self.dropout, self.training)
        return nn.functional.normalize(vector_NE + read_NE @ self.down_ER @ self.up_RE, dim=-1)


class Episode(NamedTuple):
    """Rows to learn a few classes from, and rows to be told afterwards."""

    support_N: NDArray[np.int64]
    support_class_N: NDArray[np.int64]
    query_N: NDArray[np.int64]
    query_class_N: NDArray[np.int64]


def draw_episode(
    label_N: NDArray[np.int64], ways: int, shots: int, queries: int, generator: np.random.Generator
) -> Episode:
    """Draw classes that have enough members, and members of each; negative labels are nobody's.

    Fewer classes are drawn where there are fewer.

    >>> found = draw_episode(np.array([0, 0, 7, 7, 9, -1]), 3, 1, 1, np.random.default_rng(0))
    >>> len(found.support_N), sorted(found.query_class_N.tolist())
    (2, [0, 1])
    """
    known_N = np.flatnonzero(label_N >= 0)
    order_N = known_N[np.argsort(label_N[known_N], kind="stable")]
    _, first_C, size_C = np.unique(label_N[order_N], return_index=True, return_counts=True)
    large_C = np.flatnonzero(size_C > shots)
    picked = generator.permutation(large_C)[:ways]
    support, query = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for c in picked:
        members_N = generator.permutation(order_N[first_C[c] : first_C[c] + size_C[c]])
        support.append(members_N[:shots])
        query.append(members_N[shots : shots + queries])
    numbers = np.arange(len(picked))
    return Episode(
        np.concatenate(support),
        np.repeat(numbers, [len(part) for part in support[1:]]),
        np.concatenate(query),
        np.repeat(numbers, [len(part) for part in query[1:]]),
    )


def class_means(mapped_NE: Tensor, class_N: Tensor, classes: int) -> Tensor:
    """The prototype of each class, (C, E); of a class without examples, zero."""
    sums_CE = torch.zeros(classes, mapped_NE.shape[1]).index_add(0, class_N, mapped_NE)
    return sums_CE / torch.bincount(class_N, minlength=classes).clamp(min=1)[:, None]


def nearness(mapped_NE: Tensor, prototype_CE: Tensor) -> Tensor:
    """Minus the squared distance of each to each prototype, (N, C)."""
    return -torch.cdist(mapped_NE, prototype_CE).square()


def learn_map(
    vector_NE: NDArray[np.float32], label_N: NDArray[np.int64], config: EpisodeConfig
) -> PrototypeMap:
    """Train the map episodically: tell the queries of drawn classes by their prototypes.

    A fifth of the classes is held out, and the map that tells these best is kept; where none does
    better than the identity, that is the identity.

    Raises
    ------
    ValueError
        If there are not two classes with more than one member.
    """
    size = np.bincount(label_N[label_N >= 0])
    if (size > 1).sum() < 2:  # noqa: PLR2004 - one class needs no telling
        message = "prototypes need two classes of at least two items each; give more labelled items"
        raise ValueError(message)
    shots = int(min(config.shots, np.sort(size)[-2] - 1))
    generator = np.random.default_rng(config.seed)
    large_C = generator.permutation(np.flatnonzero(size > 1))
    held_C = large_C[: len(large_C) // HELD if len(large_C) >= 2 * HELD else 0]
    taught_N = np.where(np.isin(label_N, held_C), -1, label_N)
    apart_N = np.where(np.isin(label_N, held_C), label_N, -1)
    learnt = PrototypeMap(vector_NE.shape[1], config.rank, config.seed, config.dropout)
    optimizer = torch.optim.AdamW(learnt.parameters(), config.rate, weight_decay=config.decay)

    def draw(of_N: NDArray[np.int64]) -> Episode:
        few = int(generator.integers(1, shots + 1))
        return draw_episode(of_N, config.ways, few, config.queries, generator)

    exams = [draw(apart_N) for _ in range(EXAMS)] if len(held_C) else []
    best, kept = told(learnt.eval(), vector_NE, exams), copy.deepcopy(learnt.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for number in range(1, config.episodes + 1):
            loss = _loss(learnt.train(), vector_NE, draw(taught_N), config.temperature)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            if number % EXAM_EVERY == 0 or number == config.episodes:
                found = told(learnt.eval(), vector_NE, exams)
                if found > best or not exams:
                    best, kept = found, copy.deepcopy(learnt.state_dict())
    learnt.load_state_dict(kept)
    return learnt.eval()


def _loss(
    learnt: PrototypeMap, vector_NE: NDArray[np.float32], drawn: Episode, temperature: float
) -> Tensor:
    far_NC = _nearness_of(learnt, vector_NE, drawn)
    return nn.functional.cross_entropy(temperature * far_NC, torch.from_numpy(drawn.query_class_N))


def _nearness_of(learnt: PrototypeMap, vector_NE: NDArray[np.float32], drawn: Episode) -> Tensor:
    classes = int(drawn.support_class_N.max()) + 1
    mapped = learnt(torch.from_numpy(vector_NE[drawn.support_N]))
    means_CE = class_means(mapped, torch.from_numpy(drawn.support_class_N), classes)
    return nearness(learnt(torch.from_numpy(vector_NE[drawn.query_N])), means_CE)


@torch.no_grad()
def told(
    learnt: PrototypeMap, vector_NE: NDArray[np.float32], episodes: Sequence[Episode]
) -> float:
    """The share of queries that are told right, 0 without an episode."""
    right = [
        float(
            (_nearness_of(learnt, vector_NE, one).argmax(dim=1).numpy() == one.query_class_N).mean()
        )
        for one in episodes
    ]
    return float(np.mean(right)) if right else 0.0


class Prototypes:
    """Classes by their running means; feedback moves them, and the newest says most.

    >>> classes = Prototypes(width=2)
    >>> classes.add("tea", np.array([[1.0, 0.0], [1.0, 0.0]], np.float32))
    >>> classes.add("tools", np.array([[0.0, 1.0]], np.float32))
    >>> classes.tell(np.array([[0.9, 0.1]], np.float32))
    ['tea']
    >>> classes.add("tea", np.array([[0.9, 0.1]], np.float32), weight=-1.0)  # no, it is not
    >>> classes.tell(np.array([[0.5, 0.5]], np.float32))
    ['tools']
    """

    def __init__(self, width: int, memory: float = 100.0) -> None:
        self.memory = memory
        """Examples of a class after which one counts a third: fewer follow a class that moves."""
        self.names: list[str] = []
        self._sums_CE = np.zeros((0, width), np.float32)
        self._count_C = np.zeros(0, np.float32)

    def add(self, name: str, mapped_NE: NDArray[np.float32], weight: float = 1.0) -> None:
        """Say that these belong to a class, or, with a negative weight, that they don't."""
        if name not in self.names:
            self.names.append(name)
            self._sums_CE = np.pad(self._sums_CE, ((0, 1), (0, 0)))
            self._count_C = np.pad(self._count_C, (0, 1))
        c = self.names.index(name)
        fade = np.float32(np.exp(-len(mapped_NE) / self.memory))
        self._sums_CE[c] = fade * self._sums_CE[c] + np.float32(weight) * mapped_NE.sum(axis=0)
        self._count_C[c] = fade * self._count_C[c] + np.float32(weight * len(mapped_NE))

    def tell(self, mapped_NE: NDArray[np.float32]) -> list[str]:
        """The class of each."""
        # What is taken back counts less than nothing: the mean moves away from it.
        means_CE = self._sums_CE / np.maximum(self._count_C, 0.1)[:, None]
        far_NC = ((mapped_NE[:, None] - means_CE) ** 2).sum(axis=2)
        return [self.names[c] for c in far_NC.argmin(axis=1)]
