"""The taste of a user from their first few items: a head on texts that adapts in a few steps.

Legend: `B` users, `T` support steps, `Q` queries, `M` reference items, `E` width of text, `D` width
of the head, `N` windows.

An item is its text, projected; a user is a head on that. The head starts at what newcomers like on
the mean, and takes a few steps on what this one took instead of some reference items
(`learner.meta.maml`). It needs texts only, so that an item without an event can be liked at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.meta.config import TasteConfig
from learner.meta.maml import Start, choice_slope
from learner.sequences import Sequences


class Windows(NamedTuple):
    """Rows of what came first and of what came next; -1 is padding."""

    support_NT: NDArray[np.int64]
    query_NQ: NDArray[np.int64]


class Taste(nn.Module):
    """Projection, start of every head, and the reference items."""

    reference_ME: Tensor
    offset_M: Tensor

    def __init__(self, reference_ME: Tensor, offset_M: Tensor, config: TasteConfig) -> None:
        super().__init__()
        self.steps, self.support = config.steps, config.support
        generator = torch.Generator().manual_seed(config.seed)
        E = reference_ME.shape[1]
        first_DE = torch.randn(config.width, E, generator=generator) / config.width**0.5
        self.project_DE = nn.Parameter(first_DE)
        self.start = Start(torch.zeros(config.width), config.rate)
        self.register_buffer("reference_ME", reference_ME)
        self.register_buffer("offset_M", offset_M)

    def items(self, text: Tensor) -> Tensor:
        """Texts as the head reads them: (..., E) to (..., D)."""
        return text @ self.project_DE.T

    def heads(self, text_BTE: Tensor, weight_BT: Tensor) -> Tensor:
        """The head of each user after their steps, (B, D); without any support, the start."""
        slope = choice_slope(
            self.items(text_BTE), weight_BT, self.items(self.reference_ME), self.offset_M
        )
        return self.start.adapt(slope, len(text_BTE), self.steps)


def windows_of_users(sequences: Sequences, config: TasteConfig) -> Windows:
    """Each user's first events, cut after each of the first few: support before, queries behind."""
    T, Q = config.support, config.queries
    support, query = [], []
    for start, end in zip(sequences.starts_S.tolist(), sequences.ends_S.tolist(), strict=True):
        rows_N = sequences.rows_N[start:end]
        for cut in range(min(T, len(rows_N) - 1) + 1):
            before_N, after_N = rows_N[:cut], rows_N[cut : cut + Q]
            if len(after_N):
                support.append(np.pad(before_N, (T - cut, 0), constant_values=-1))
                query.append(np.pad(after_N, (0, Q - len(after_N)), constant_values=-1))
    return Windows(
        np.array(support, np.int64).reshape(-1, T), np.array(query, np.int64).reshape(-1, Q)
    )


def learn_taste(vector_IE: NDArray[np.float32], sequences: Sequences, config: TasteConfig) -> Taste:
    """Train projection, start and step sizes on what users took next.

    Raises
    ------
    ValueError
        If the log has no event.
    """
    count_I = np.bincount(sequences.rows_N, minlength=len(vector_IE)).astype(np.float64)
    if not count_I.sum():
        message = "a taste can't be learnt from a log without events"
        raise ValueError(message)
    generator = np.random.default_rng(config.seed)
    share_I = (count_I + 0.5) / (count_I + 0.5).sum()
    size = min(config.references, len(share_I))
    # Drawn by popularity, each counts alike: the sample's offset is none.
    rows_M = generator.choice(len(share_I), size, replace=True, p=share_I)
    text_IE = torch.from_numpy(vector_IE)
    taste = Taste(text_IE[torch.from_numpy(rows_M)], torch.zeros(size), config)
    optimizer = torch.optim.AdamW(
        taste.parameters(), config.learning_rate, weight_decay=config.decay
    )
    windows = windows_of_users(sequences, config)
    for _ in range(config.epochs):
        order_N = generator.permutation(len(windows.query_NQ))
        for first in range(0, len(order_N), config.batch):
            part = order_N[first : first + config.batch]
            loss = _loss(taste, text_IE, windows.support_NT[part], windows.query_NQ[part])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return taste.eval()


def _loss(
    taste: Taste, text_IE: Tensor, support_BT: NDArray[np.int64], query_BQ: NDArray[np.int64]
) -> Tensor:
    """Softmax of each query against the reference items, which are drawn by popularity."""
    at_BT, at_BQ = (torch.from_numpy(np.maximum(rows, 0)) for rows in (support_BT, query_BQ))
    head_BD = taste.heads(text_IE[at_BT], torch.from_numpy((support_BT >= 0).astype(np.float32)))
    own_BQ = torch.einsum("bqd,bd->bq", taste.items(text_IE[at_BQ]), head_BD)
    others_BM = head_BD @ taste.items(taste.reference_ME).T
    total_BQ = torch.logaddexp(own_BQ, others_BM.logsumexp(dim=1, keepdim=True))
    real_BQ = torch.from_numpy(query_BQ >= 0)
    return (total_BQ - own_BQ)[real_BQ].mean()
