"""The correction: small nets on the features, which start at zero and are weighed online.

Legend: `R` nets, `A` = R + 1 arms, `B` users, `K` candidates, `F` features, `H` hidden units.

Several nets with different step sizes run in parallel, and so does "no correction": exponential
weights on their recent prequential loss say how much each counts (Hedge with forgetting; Herbster
& Warmuth, "Tracking the best expert", 1998). When all nets are worse than the prior, the weight
moves to no correction: this is the gate that keeps a spoilt model from being shown.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.features import AT, F

HIDDEN = 32

SCALE_RATE = 1e-2
"""Step size of the prior's scale: it is one number per arm, and has to be right early."""

WEIGH_MEMORY = 1_000.0
"""Examples after which a loss has faded: fewer follow drift faster, and noise as well."""


class Correction(nn.Module):
    """`R` independent nets F → 32 → 1 with a linear term, on top of the prior times a scale.

    At the start nets are zero and scales one. The last arm is the scaled prior, uncorrected.

    >>> net = Correction(rates=(1e-3, 1e-2), seed=0)
    >>> net(torch.ones(2, 3, F), torch.full((2, 3), 7.0)).unique().tolist()
    [7.0]
    """

    def __init__(self, rates: tuple[float, ...], seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        R = len(rates)
        first = torch.randn(F, HIDDEN, generator=generator) * (2.0 / F) ** 0.5
        self.first_RFH = nn.Parameter(first.expand(R, -1, -1).clone())
        self.bias_RH = nn.Parameter(torch.zeros(R, HIDDEN))
        self.second_RH = nn.Parameter(torch.zeros(R, HIDDEN))
        self.linear_RF = nn.Parameter(torch.zeros(R, F))
        self.log_scale_A = nn.Parameter(torch.zeros(R + 1))
        rate_R = torch.tensor(rates)
        self.rates: dict[str, float | Tensor] = {
            "first_RFH": rate_R[:, None, None],
            "bias_RH": rate_R[:, None],
            "second_RH": rate_R[:, None],
            "linear_RF": rate_R[:, None],
            "log_scale_A": SCALE_RATE,
        }

    def begin_with(self, feature: str, weight: float) -> None:
        """Count a feature from the start, in every net."""
        with torch.no_grad():
            self.linear_RF[:, AT[feature]] = weight

    def forward(self, features_BKF: Tensor, prior_BK: Tensor) -> Tensor:
        """Scores of every arm, (R + 1, B, K)."""
        B, K, _ = features_BKF.shape
        x = features_BKF.reshape(1, B * K, F)
        hidden = torch.relu(torch.matmul(x, self.first_RFH) + self.bias_RH[:, None])
        out = torch.matmul(hidden, self.second_RH[:, :, None])
        out = out + torch.matmul(x, self.linear_RF[:, :, None])
        correction_ABK = nn.functional.pad(out.reshape(-1, B, K), (0, 0, 0, 0, 0, 1))
        return correction_ABK + self.log_scale_A.exp()[:, None, None] * prior_BK


class Weighing:
    """How much each net counts, the last entry being no correction at all.

    >>> weighing = Weighing(nets=1)
    >>> weighing.weights.tolist()
    [0.5, 0.5]
    >>> weighing.update(np.array([[0.1] * 50, [0.3] * 50]))
    >>> weighing.weights.round(3).tolist()
    [1.0, 0.0]
    """

    def __init__(self, nets: int) -> None:
        self.losses = np.zeros(nets + 1)

    @property
    def weights(self) -> NDArray[np.float64]:
        """They add up to 1."""
        weight = np.exp(-(self.losses - self.losses.min()))
        return np.asarray(weight / weight.sum())

    def update(self, loss_RN: NDArray[np.float64]) -> None:
        """Add the losses of `N` examples, ranked before they were learnt."""
        n = loss_RN.shape[1]
        self.losses = self.losses * np.exp(-n / WEIGH_MEMORY) + loss_RN.sum(axis=1)


def listwise_loss(score_BK: Tensor, real_BK: Tensor, target_B: Tensor) -> Tensor:
    """Negative log-likelihood of each target among its candidates (ListNet's top-one, 2007)."""
    masked_BK = score_BK.masked_fill(~real_BK, -1e9)
    picked = masked_BK.gather(-1, target_B.expand(score_BK.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    return masked_BK.logsumexp(dim=-1) - picked
