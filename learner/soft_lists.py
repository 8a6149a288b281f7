"""Soft lists: what a teacher says of each event of a log, and the losses of a student it is told.

Legend: `N` events, `P` positions (some of the events), `K` items of a list, `C` scored items.

A teacher is asked once. Of all its answer a list keeps the `K` items that it puts on top, with
their logits, and how much is left for all others together: `6 K + 4` bytes an event. The student
learns

- the teacher's softened probabilities (Hinton, Vinyals & Dean 2015): the Kullback-Leibler
  divergence over the listed items and, as one event more, the rest, both at a temperature;
- its order: the likelihood of the list under Plackett-Luce, every listed item before all that are
  not listed (relaxed ranking distillation, Kang et al., CIKM 2020, after Tang & Wang, KDD 2018).

The student's own rest is estimated from the sampled items, each standing for as many as it had
chances to be left out (`learner.pretraining_loss`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.pretraining_config import DistillConfig
from learner.pretraining_loss import Columns


class SoftLists(NamedTuple):
    """A teacher's top items of each event, best first."""

    rows_NK: NDArray[np.int32]
    logits_NK: NDArray[np.float16]
    """Less the best one's: differences are all that counts, and keep their digits so."""
    rest_N: NDArray[np.float32]
    """Logarithm of what all other items sum up to, on the same scale, at the temperature."""

    @classmethod
    def empty(cls, events: int, listed: int) -> SoftLists:
        """Lists to be filled."""
        shape = (events, listed)
        rest_N = np.zeros(events, np.float32)
        return cls(np.zeros(shape, np.int32), np.zeros(shape, np.float16), rest_N)

    def of(self, event_P: NDArray[np.int64]) -> SoftLists:
        """The lists of some events."""
        return SoftLists(self.rows_NK[event_P], self.logits_NK[event_P], self.rest_N[event_P])

    def put(self, event_P: NDArray[np.int64], logits_PI: Tensor, temperature: float) -> None:
        """Keep what matters of logits of all items."""
        top_PK, at_PK = logits_PI.topk(self.rows_NK.shape[1], dim=1)
        best_P1 = top_PK[:, :1]
        others_PI = (logits_PI - best_P1) / temperature
        rest_P = others_PI.scatter(1, at_PK, -torch.inf).logsumexp(dim=1)
        self.rows_NK[event_P] = at_PK.int().cpu().numpy()
        self.logits_NK[event_P] = (top_PK - best_P1).half().cpu().numpy()
        self.rest_N[event_P] = rest_P.float().cpu().numpy()


def soft_losses(
    logits_PK: Tensor,
    logits_PC: Tensor,
    columns: Columns,
    lists: SoftLists,
    config: DistillConfig,
) -> Tensor:
    """What a student loses by not agreeing with its teacher, weighed.

    Parameters
    ----------
    logits_PK
        The student's, of the listed items.
    logits_PC
        The student's, of the sampled items.
    """
    listed_PC = _listed(columns.items_C, lists.rows_NK).to(logits_PC.device)
    others_PC = logits_PC.masked_fill(listed_PC, -torch.inf)
    loss = logits_PK.new_zeros(())
    if config.weight:
        loss = loss + config.weight * _divergence(logits_PK, others_PC, columns, lists, config)
    if config.ranking:
        loss = loss + config.ranking * _disorder(logits_PK, others_PC)
    return loss


def _divergence(
    logits_PK: Tensor,
    others_PC: Tensor,
    columns: Columns,
    lists: SoftLists,
    config: DistillConfig,
) -> Tensor:
    """KL(teacher || student) at the temperature, times its square, so that gradients keep size."""
    heat, device = config.temperature, logits_PK.device
    weight_C = torch.from_numpy(-np.log(columns.chance_C).astype(np.float32)).to(device)
    label_P1 = columns.label_P[:, None].to(device)
    cooled_PC = others_PC / heat
    weighed_PC = (cooled_PC + weight_C).scatter(1, label_P1, cooled_PC.gather(1, label_P1))
    rest_P1 = weighed_PC.logsumexp(dim=1, keepdim=True)
    ours = torch.cat([logits_PK / heat, rest_P1], dim=1).log_softmax(dim=1)
    said_PK = torch.from_numpy(lists.logits_NK).to(device).float() / heat
    left_P1 = torch.from_numpy(lists.rest_N[:, None]).to(device)
    theirs = torch.cat([said_PK, left_P1], dim=1).log_softmax(dim=1)
    return (theirs.exp() * (theirs - ours)).sum(dim=1).mean() * heat**2


def _disorder(logits_PK: Tensor, others_PC: Tensor) -> Tensor:
    """Minus the mean log-likelihood of the list's order, the sampled rest coming last."""
    rest_P1 = others_PC.logsumexp(dim=1, keepdim=True)
    worst_first = torch.cat([rest_P1, logits_PK.flip(1)], dim=1)
    behind_PK = worst_first.logcumsumexp(dim=1)[:, 1:].flip(1)
    return (behind_PK - logits_PK).mean()


def _listed(items_C: NDArray[np.int64], rows_PK: NDArray[np.int32]) -> Tensor:
    """Which of the sampled items are on each position's list: (P, C)."""
    at_PK = np.searchsorted(items_C, rows_PK).clip(0, len(items_C) - 1)
    line_N, place_N = np.nonzero(items_C[at_PK] == rows_PK)
    listed_PC = np.zeros((len(rows_PK), len(items_C)), np.bool_)
    listed_PC[line_N, at_PK[line_N, place_N]] = True
    return torch.from_numpy(listed_PC)
