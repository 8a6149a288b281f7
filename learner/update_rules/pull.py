"""Held near where the block began: the proximal pull of PESO (arXiv 2510.25093, section 4).

Legend: `N` entries of a matrix, flat.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.behaviour import Behaviour
from learner.update_rules.rule import Attempt, Single, Student

WEIGHT = 2.0
"""Of the pull against the cross-entropy, as the authors' script has it."""


def softmax_divergence(now: Tensor, before: Tensor) -> Tensor:
    """KL(softmax(now) || softmax(before)), each matrix as one distribution over its entries.

    For small changes it is half the variance of the change, weighed by where the mass is.

    Examples
    --------
    >>> before = torch.tensor([[0.0, 1.0]])
    >>> softmax_divergence(before + 5.0, before).abs() < 1e-6, softmax_divergence(-before, before)
    (tensor(True), tensor(0.4621))
    """
    log_now_N = now.flatten().log_softmax(dim=0)
    log_before_N = before.flatten().log_softmax(dim=0)
    return (log_now_N.exp() * (log_now_N - log_before_N)).sum()


class Pull(Single):
    """One adapter, pulled towards its state at the end of the last block."""

    def __init__(self, model: Behaviour, weight: float = WEIGHT) -> None:
        super().__init__(model)
        self.weight = weight
        self.pulled = {name: p for name, p in self._learnt.items() if "lora_" in name}
        self._before = {name: p.detach().clone() for name, p in self.pulled.items()}

    def begin_block(self, student: Student, block: int) -> tuple[str, ...]:
        """Remember where the adapter is."""
        self._before = {name: p.detach().clone() for name, p in self.pulled.items()}
        return ()

    def loss(self, attempt: Attempt) -> Tensor:
        """The pull is a sum over both matrices of a module, and a mean over modules."""
        pull = torch.stack([softmax_divergence(p, self._before[n]) for n, p in self.pulled.items()])
        return attempt.cross_entropy + self.weight * 2.0 * pull.mean()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Where the adapter was."""
        return {name: before.cpu().numpy() for name, before in self._before.items()}

    def restore(
        self,
        student: Student,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
    ) -> None:
        """Take a snapshot."""
        for name, before in self._before.items():
            before.copy_(torch.from_numpy(np.array(state[name])))


class Steady(Pull):
    """Pulled strongly, and read through dropout: nothing is learnt by heart.

    A block brings few examples per weight, and what several passes learn by heart of them is what
    covers up the rest. It is the dropout that helps: `single` with the same dropout is as good on
    recorded blocks, and the pull adds nothing that could be measured there.
    """

    dropout = 0.3

    def __init__(self, model: Behaviour) -> None:
        super().__init__(model, weight=1e4)
