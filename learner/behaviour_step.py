"""One gradient step of the behaviour transformer, on the targets and on sampled negatives.

Legend: `B` examples, `C` scored items, `U` distinct rows, `D` width, `I` catalogue rows.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from learner.batch import Histories
from learner.behaviour import Steps
from learner.optim import Adam
from learner.ranker import Ranker

POPULAR_SHARE = 0.5
"""Half of the negatives are drawn as often as they are taken, half evenly: the first are hard, the
second keep what is never taken down."""

SHARE_FLOOR = 1e-6
"""The popularity of an item without events, where its logarithm is taken."""


class BehaviourTrainer:
    """Teaches a ranker's transformer and its items' residuals; holds the optimiser.

    Parameters
    ----------
    ranker
        One with a transformer.
    """

    def __init__(self, ranker: Ranker) -> None:
        assert ranker.behaviour is not None
        self.ranker = ranker
        self.model = ranker.behaviour
        self.config = ranker.config.train
        learnt = self.model.learnt()
        self.adam = Adam(learnt, dict.fromkeys(learnt, self.config.transformer_rate))

    def step(
        self,
        past: Histories,
        target_B: NDArray[np.int32],
        factor: float,
        generator: np.random.Generator,
    ) -> None:
        """Sampled softmax with logQ correction, on top of log-popularity.

        The logit of an item is its product with the user plus its log-popularity, so that what
        the transformer learns is what popularity doesn't say (Menon et al. 2021, logit
        adjustment); minus the logarithm of how often it is sampled (Bengio & Senécal 2008).
        """
        ranker, model = self.ranker, self.model
        with_past = past.rows_BT[:, -1] >= 0
        if not with_past.any():
            return
        past, target_B = past.take(np.flatnonzero(with_past)), target_B[with_past]
        device = ranker.device
        items = len(ranker.catalog)

        # 1. What is scored: the targets and the negatives, each once.
        counts_I = ranker.experts.popularity.counts_HI[2, :items]
        share_I = counts_I / max(float(counts_I.sum()), 1e-9)
        edges_I = np.cumsum(share_I)
        popular = int(self.config.negatives * POPULAR_SHARE)
        drawn = np.searchsorted(edges_I, generator.random(popular) * edges_I[-1])
        even = generator.integers(0, items, self.config.negatives - popular)
        columns_C = np.unique(np.concatenate([target_B, drawn.clip(0, items - 1), even]))
        expected_C = share_I[columns_C] * (len(target_B) + popular) + len(even) / items
        offset_C = np.log(share_I[columns_C] + SHARE_FLOOR) - np.log(expected_C)

        # 2. The towers of all items in play, residuals as leaves of the graph.
        steps = Steps(past, ranker.config.model.transformer_steps, device)
        rows_U = np.unique(np.concatenate([np.maximum(steps.rows_BT, 0).ravel(), columns_C]))
        steps.index(rows_U, device)
        at_U = torch.from_numpy(rows_U.astype(np.int64))
        residual_UD = ranker.residuals.vectors_ID[at_U].to(device).requires_grad_()
        with ranker.autocast():
            if ranker.tower.has_text:
                items_UD = model.towers(ranker.tower.text_IE()[at_U.to(device)], residual_UD)
            else:
                items_UD = residual_UD
            users_BD = model.users(items_UD, steps)
            columns = torch.from_numpy(np.searchsorted(rows_U, columns_C)).to(device)
            logits_BC = (users_BD @ items_UD[columns].T).float()

        # 3. Step.
        offset = torch.from_numpy(offset_C.astype(np.float32)).to(device)
        label_B = torch.from_numpy(np.searchsorted(columns_C, target_B)).to(device)
        loss = torch.nn.functional.cross_entropy(logits_BC + offset, label_B)
        torch.autograd.backward(loss)
        self.adam.step(factor)
        assert residual_UD.grad is not None
        ranker.residuals.update(
            rows_U.astype(np.int32), residual_UD.grad.cpu(), factor * self.config.residual_rate
        )
        ranker.tower.stale()
