"""One gradient step: the correction nets on listed candidates, the transformer, its student.

Legend: `B` examples, `L` listed candidates, `F` features, `R` nets. The transformer's step, on
sampled items, is in `behaviour_step`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from learner.batch import Histories
from learner.behaviour_step import BehaviourTrainer
from learner.correction import listwise_loss
from learner.follower import Follower
from learner.optim import Adam
from learner.peers import ALONE, Peers
from learner.ranker import Ranker, Scored
from learner.replay import Lesson

NEAR = 5.0
"""A target with so many listed candidates above it weighs half: a list shows ten, and moving a
target from place 80 to 60 is worth nothing to anyone."""


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
        target_B,
    )


class Trainer:
    """Teaches a ranker, together with peers that have copies of it; holds the optimisers."""

    def __init__(self, ranker: Ranker, peers: Peers = ALONE) -> None:
        self.ranker = ranker
        self.peers = peers
        self.config = ranker.config.train
        correction = ranker.correction
        device = ranker.device
        self.net_adam = Adam(
            dict(correction.named_parameters()),
            {name: torch.as_tensor(rate).to(device) for name, rate in correction.rates.items()},
        )
        self.behaviour = BehaviourTrainer(ranker, peers) if ranker.behaviour is not None else None
        self.follower = Follower(ranker, peers) if ranker.student is not None else None

    def step(
        self,
        lesson: Lesson,
        factor: float,
        generator: np.random.Generator,
        *,
        replayed: bool = False,
    ) -> float:
        """Learn from a batch; returns the mean loss of the correction nets before the step."""
        known = np.flatnonzero(lesson.target_B >= 0)
        total = self.peers.count(len(known))
        if not total:
            return 0.0
        loss = self._teach_nets(lesson, factor)
        if self.behaviour is not None:
            if not replayed:
                self.behaviour.pass_by(total)
            past, target_B = lesson.past.take(known), lesson.target_B[known]
            self.behaviour.step(past, target_B, factor, generator, replayed=replayed)
            if self.follower is not None:
                if not replayed:
                    self.follower.pass_by(total)
                self.follower.step(past, target_B, factor, generator, replayed=replayed)
        self.ranker.trained = True
        return loss

    def _teach_nets(self, lesson: Lesson, factor: float) -> float:
        device = self.ranker.device
        real_BL = torch.from_numpy(lesson.rows_BL >= 0).to(device)
        features_BLF = torch.from_numpy(lesson.features_BLF).to(device)
        base_BL = self.ranker.stacking.scores(features_BLF)[0]
        nets_RBL = self.ranker.correction(features_BLF, base_BL)
        first_B = torch.zeros(len(lesson), dtype=torch.long, device=device)
        loss_RB = listwise_loss(nets_RBL, real_BL, first_B)
        with torch.no_grad():
            nets = nets_RBL.masked_fill(~real_BL, -torch.inf)
            above_RB = (nets > nets[:, :, :1]).sum(dim=2)
            weight_RB = real_BL[:, 0] / (above_RB / NEAR + 1.0)
        mean_R = (loss_RB * weight_RB).sum(dim=1) / real_BL[:, 0].sum().clamp(min=1)
        mean_R.sum().backward()
        self.peers.average(self.net_adam.parameters.values(), int(real_BL[:, 0].sum()))
        self.net_adam.step(factor)
        return float(mean_R.detach().mean())
