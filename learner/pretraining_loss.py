"""What pretraining scores and how it is judged: shared negatives, sampled softmax, gBCE.

Legend: `P` positions, `C` scored items, `I` items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid, softplus

from learner.negatives import SHARE_FLOOR, draw_columns

CALIBRATION = 0.75
"""How far gBCE takes back the overconfidence that sampling brings: 0 not at all, 1 wholly."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The items that a batch scores, each once, rising, and the chance that each was among them."""

    items_C: NDArray[np.int64]
    chance_C: NDArray[np.float64]
    label_P: Tensor


class Popularity:
    """How often each item is taken, for drawing negatives and as a logarithm."""

    def __init__(self, rows_N: NDArray[np.int32], items: int) -> None:
        self.items = items
        self.share_I = np.bincount(rows_N, minlength=items) / max(1, len(rows_N))
        self.log_share_I = np.log(self.share_I + SHARE_FLOOR).astype(np.float32)
        self._edges_I = np.cumsum(self.share_I)

    def columns(
        self, target_P: NDArray[np.int32], negatives: int, generator: np.random.Generator
    ) -> Columns:
        """The targets, and negatives; all items where there are no more than are asked for."""
        if self.items <= negatives:
            every = np.arange(self.items)
            return Columns(every, np.ones(self.items), torch.from_numpy(target_P.astype(np.int64)))
        items_C, chance_C = draw_columns(
            target_P, self.share_I, self._edges_I, negatives, generator
        )
        label_P = torch.from_numpy(np.searchsorted(items_C, target_P))
        return Columns(items_C, chance_C, label_P)


def softmax_loss(logits_PC: Tensor, columns: Columns) -> Tensor:
    """Softmax over a sample, each item standing for as many as it had chances to be left out.

    An item is scored once, however often it was drawn, so that what is corrected is the chance of
    being there at all (Bengio & Senécal 2008); a position's own target is there in any case, and is
    not corrected (Khrylchenko et al., RecSys 2025, arXiv 2507.09331).
    """
    weight_C = torch.from_numpy(-np.log(columns.chance_C).astype(np.float32))
    label_P1 = columns.label_P[:, None].to(logits_PC.device)
    weighed_PC = logits_PC + weight_C.to(logits_PC.device)
    weighed_PC = weighed_PC.scatter(1, label_P1, logits_PC.gather(1, label_P1))
    return cross_entropy(weighed_PC, label_P1[:, 0])


def gbce_loss(logits_PC: Tensor, columns: Columns, items: int) -> Tensor:
    """Generalised binary cross-entropy (Petrov & Macdonald, RecSys 2023, section 5.3)."""
    rate = (logits_PC.shape[1] - 1) / max(1, items - 1)
    beta = rate * (CALIBRATION * (1 - 1 / rate) + 1 / rate)
    own_P = logits_PC.gather(1, columns.label_P[:, None].to(logits_PC.device))[:, 0]
    others_P = softplus(logits_PC).sum(dim=1) - softplus(own_P)
    return (others_P - beta * logsigmoid(own_P)).mean() / logits_PC.shape[1]
