"""The correction: small nets on the features, which start at zero and are weighed online.

Legend: `R` nets, `A` arms, `B` users, `K` candidates, `F` features, `H` hidden units.

Several nets with different step sizes run in parallel on top of the learnt weights
(`learner.stacking`), beside these weights without a net and the bare prior: exponential weights on
their recent prequential gain say how much each arm counts (Hedge with forgetting; Herbster &
Warmuth, "Tracking the best expert", 1998). When all that is learnt is worse than the prior, the
weight moves to the prior: this keeps a spoilt model from being shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.features import NAMES, F

HIDDEN = 32

WEIGH_MEMORY = 1_000.0
"""Examples after which a loss has faded: fewer follow drift faster, and noise as well."""


class Correction(nn.Module):
    """`R` independent nets F → 32 → 1, which start at zero.

    >>> net = Correction(rates=(1e-3, 1e-2), seed=0)
    >>> net(torch.ones(4, 3, F), torch.full((4, 3), 7.0)).unique().tolist()
    [7.0]
    """

    seen_F: Tensor

    def __init__(self, rates: tuple[float, ...], seed: int, without: Sequence[str] = ()) -> None:
        super().__init__()
        if strange := sorted(set(without) - set(NAMES)):
            message = f"learner.model.without: no feature {strange[0]!r}; there are {NAMES}"
            raise ValueError(message)
        seen_F = torch.tensor([float(name not in without) for name in NAMES])
        self.register_buffer("seen_F", seen_F, persistent=False)
        generator = torch.Generator().manual_seed(seed)
        R = len(rates)
        first = torch.randn(F, HIDDEN, generator=generator) * (2.0 / F) ** 0.5
        self.first_RFH = nn.Parameter(first.expand(R, -1, -1).clone())
        self.bias_RH = nn.Parameter(torch.zeros(R, HIDDEN))
        self.second_RH = nn.Parameter(torch.zeros(R, HIDDEN))
        rate_R = torch.tensor(rates)
        self.rates: dict[str, float | Tensor] = {
            "first_RFH": rate_R[:, None, None],
            "bias_RH": rate_R[:, None],
            "second_RH": rate_R[:, None],
        }

    def forward(self, features_BKF: Tensor, base_BK: Tensor) -> Tensor:
        """Scores by every net on top of a base, (R, B, K)."""
        B, K, _ = features_BKF.shape
        x = (features_BKF * self.seen_F).reshape(1, B * K, F)
        hidden = torch.relu(torch.matmul(x, self.first_RFH) + self.bias_RH[:, None])
        out = torch.matmul(hidden, self.second_RH[:, :, None])
        return out.reshape(-1, B, K) + base_BK


class Weighing:
    """How much each arm counts.

    >>> weighing = Weighing(arms=2)
    >>> weighing.weights.tolist()
    [0.5, 0.5]
    >>> weighing.update(np.array([[0.1] * 50, [0.3] * 50]))
    >>> weighing.weights.round(3).tolist()
    [1.0, 0.0]
    """

    def __init__(self, arms: int) -> None:
        self.losses = np.zeros(arms)

    @property
    def weights(self) -> NDArray[np.float64]:
        """They add up to 1."""
        weight = np.exp(-(self.losses - self.losses.min()))
        return np.asarray(weight / weight.sum())

    def update(self, loss_AN: NDArray[np.float64]) -> None:
        """Add the losses of `N` examples, ranked before they were learnt."""
        n = loss_AN.shape[1]
        self.losses = self.losses * np.exp(-n / WEIGH_MEMORY) + loss_AN.sum(axis=1)


def listwise_loss(score_BK: Tensor, real_BK: Tensor, target_B: Tensor) -> Tensor:
    """Negative log-likelihood of each target among its candidates (ListNet's top-one, 2007)."""
    masked_BK = score_BK.masked_fill(~real_BK, -1e9)
    picked = masked_BK.gather(-1, target_B.expand(score_BK.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    return masked_BK.logsumexp(dim=-1) - picked
