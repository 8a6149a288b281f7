"""One gradient step: the correction nets on listed candidates, the transformer on sampled items.

Legend: `B` examples, `L` listed candidates, `F` features, `R` nets, `C` scored items, `U` distinct
rows, `D` width.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from learner.batch import Histories
from learner.behaviour import Steps
from learner.correction import listwise_loss
from learner.optim import Adam
from learner.ranker import Ranker, Scored
from learner.replay import Lesson

POPULAR_SHARE = 0.5
"""Half of the negatives are drawn as often as they are taken, half evenly: the first are hard, the
second keep what is never taken down."""

NEAR = 5.0
"""A target with so many listed candidates above it weighs half: a list shows ten, and moving a
target from place 80 to 60 is worth nothing to anyone."""

SHARE_FLOOR = 1e-6
"""The popularity of an item without events, where its logarithm is taken."""


def make_lesson(
    past: Histories,
    scored: Scored,
    target_B: NDArray[np.int32],
    listed: int,
    generator: np.random.Generator,
) -> Lesson:
    """Keep the target (first), the best-scored half, and a random rest of the candidates."""
    B, K = scored.rows_BK.shape
    line_B = np.arange(B)
    chance_BK = generator.random((B, K), np.float32)
    score_BK = np.where(scored.real_BK, scored.score_BK, -np.inf)
    hard = min(listed // 2, K - 1)
    if hard:
        edge_B1 = np.partition(score_BK, K - hard, axis=1)[:, K - hard : K - hard + 1]
        chance_BK += score_BK >= edge_B1
    chance_BK[~scored.real_BK] = -1.0
    chance_BK[line_B, scored.target_B] = 9.0
    take = min(listed, K)
    at_BL = np.argsort(-chance_BK, axis=1, kind="stable")[:, :take]
    pick = np.take_along_axis
    rows_BL = np.where(pick(chance_BK, at_BL, 1) >= 0, pick(scored.rows_BK, at_BL, 1), -1)
    pad = ((0, 0), (0, listed - take))
    return Lesson(
        past,
        np.pad(rows_BL, pad, constant_values=-1),
        np.pad(pick(scored.features_BKF, at_BL[:, :, None], 1), (*pad, (0, 0))),
        np.pad(pick(scored.prior_BK, at_BL, 1), pad),
        target_B,
    )


class Trainer:
    """Teaches a ranker; holds the optimisers."""

    def __init__(self, ranker: Ranker) -> None:
        self.ranker = ranker
        self.config = ranker.config.train
        correction = ranker.correction
        device = ranker.device
        self.net_adam = Adam(
            dict(correction.named_parameters()),
            {name: torch.as_tensor(rate).to(device) for name, rate in correction.rates.items()},
        )
        self.behaviour_adam: Adam | None = None
        if ranker.behaviour is not None:
            learnt = ranker.behaviour.learnt()
            rates = dict.fromkeys(learnt, self.config.transformer_rate)
            self.behaviour_adam = Adam(learnt, rates)

    def step(self, lesson: Lesson, factor: float, generator: np.random.Generator) -> float:
        """Learn from a batch; returns the mean loss of the correction nets before the step."""
        known = np.flatnonzero(lesson.target_B >= 0)
        if not len(known):
            return 0.0
        loss = self._teach_nets(lesson, factor)
        if self.behaviour_adam is not None:
            self._teach_behaviour(
                lesson.past.take(known), lesson.target_B[known], factor, generator
            )
        self.ranker.trained = True
        return loss

    def _teach_nets(self, lesson: Lesson, factor: float) -> float:
        device = self.ranker.device
        real_BL = torch.from_numpy(lesson.rows_BL >= 0).to(device)
        prior_BL = torch.from_numpy(lesson.prior_BL).to(device)
        features_BLF = torch.from_numpy(lesson.features_BLF).to(device)
        arms_ABL = self.ranker.correction(features_BLF, prior_BL)
        first_B = torch.zeros(len(lesson), dtype=torch.long, device=device)
        loss_AB = listwise_loss(arms_ABL, real_BL, first_B)
        with torch.no_grad():
            arms = arms_ABL.masked_fill(~real_BL, -torch.inf)
            above_AB = (arms > arms[:, :, :1]).sum(dim=2)
            weight_AB = real_BL[:, 0] / (above_AB / NEAR + 1.0)
        mean_A = (loss_AB * weight_AB).sum(dim=1) / real_BL[:, 0].sum().clamp(min=1)
        mean_A.sum().backward()
        self.net_adam.step(factor)
        return float(mean_A.detach().mean())

    def _teach_behaviour(
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
        ranker = self.ranker
        model = ranker.behaviour
        assert model is not None and self.behaviour_adam is not None
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
        self.behaviour_adam.step(factor)
        assert residual_UD.grad is not None
        ranker.residuals.update(
            rows_U.astype(np.int32), residual_UD.grad.cpu(), factor * self.config.residual_rate
        )
        ranker.tower.stale()
