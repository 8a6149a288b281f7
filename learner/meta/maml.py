"""First-order MAML over a head: a few gradient steps that make it a user's own.

Legend: `B` tasks, `N` support entries of a task, `D` width of the head.

A task is a user (or a segment, or a shop). Its head starts at weights that were learnt to be a good
start, and takes a few gradient steps on the task's support, with a step size of its own for each
weight. Only the head is adapted (ANIL: Raghu et al. 2020); what lies below it is shared and learnt
from the queries. Start, step sizes and what lies below follow the query's loss after the steps,
without second derivatives (FOMAML: Finn, Abbeel & Levine 2017; learnt step sizes: Meta-SGD, Li et
al. 2017; for recommending: MeLU, Lee et al. 2019). So inner slopes are written out, no graph is
kept for them, and adapting costs a few products of small matrices.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Slope = Callable[[Tensor], Tensor]
"""The gradient of each task's support loss at its head: (B, D) to (B, D)."""


class Start(nn.Module):
    """Where every head starts, and how far each of its weights moves in a step."""

    def __init__(self, start_D: Tensor, rate: float) -> None:
        super().__init__()
        self.start_D = nn.Parameter(start_D.clone())
        self.log_rate_D = nn.Parameter(torch.full_like(start_D, rate).log())

    def adapt(self, slope: Slope, tasks: int, steps: int) -> Tensor:
        """The heads of so many tasks after so many steps, (B, D).

        >>> start = Start(torch.zeros(1), rate=0.5)
        >>> start.adapt(lambda w: w - torch.tensor([[4.0], [-8.0]]), tasks=2, steps=1).tolist()
        [[2.0], [-4.0]]
        """
        head_BD = self.start_D.expand(tasks, -1)
        rate_D = self.log_rate_D.exp()
        for _ in range(steps):
            with torch.no_grad():
                slope_BD = slope(head_BD)
            head_BD = head_BD - rate_D * slope_BD
        return head_BD


def squared_slope(x_BND: Tensor, y_BN: Tensor, real_BN: Tensor) -> Slope:
    """The slope of half of the mean squared error, over real entries; none of a task without any.

    >>> x, y = torch.ones(1, 2, 1), torch.tensor([[1.0, 3.0]])
    >>> squared_slope(x, y, torch.ones(1, 2))(torch.zeros(1, 1)).tolist()
    [[-2.0]]
    """
    weight_BN = real_BN / real_BN.sum(dim=1, keepdim=True).clamp(min=1)

    def slope(head_BD: Tensor) -> Tensor:
        off_BN = (torch.einsum("bnd,bd->bn", x_BND, head_BD) - y_BN) * weight_BN
        return torch.einsum("bn,bnd->bd", off_BN, x_BND)

    return slope


def choice_slope(x_BND: Tensor, weight_BN: Tensor, others_MD: Tensor, offset_M: Tensor) -> Slope:
    """The slope of a softmax loss: each entry was chosen instead of the same `M` others.

    `weight_BN` says how much each entry counts, 0 for none, less than 0 for a dislike; `offset_M`
    is the log-popularity of the others.

    >>> slope = choice_slope(torch.ones(1, 1, 1), torch.ones(1, 1), torch.zeros(1, 1),
    ...                      torch.zeros(1))
    >>> slope(torch.zeros(1, 1)).tolist()
    [[-1.0]]
    """
    total_B1 = weight_BN.abs().sum(dim=1, keepdim=True).clamp(min=1e-9)
    share_BN = weight_BN / total_B1

    def slope(head_BD: Tensor) -> Tensor:
        expected_BD = torch.softmax(head_BD @ others_MD.T + offset_M, dim=1) @ others_MD
        chosen_BD = torch.einsum("bn,bnd->bd", share_BN, x_BND)
        return share_BN.sum(dim=1, keepdim=True) * expected_BD - chosen_BD

    return slope
