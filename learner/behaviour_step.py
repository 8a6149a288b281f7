"""One gradient step of the behaviour transformer, on the targets and on sampled negatives.

Legend: `B` examples, `C` scored items, `U` distinct rows, `D` width, `I` catalogue rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.batch import Histories
from learner.behaviour import Steps
from learner.negatives import SHARE_FLOOR, draw_columns
from learner.optim import Adam
from learner.peers import ALONE, Peers
from learner.ranker import Ranker
from learner.update_rules.choose import make_rule
from learner.update_rules.rule import Attempt, Student, UpdateRule


class BehaviourTrainer:
    """Teaches a ranker's transformer and its items' residuals; holds the optimiser.

    Parameters
    ----------
    ranker
        One with a transformer.
    peers
        Those that teach copies of it.
    rule
        How it follows the stream; by default as the configuration says.
    """

    def __init__(
        self, ranker: Ranker, peers: Peers = ALONE, rule: UpdateRule | None = None
    ) -> None:
        assert ranker.behaviour is not None
        self.peers = peers
        self.ranker = ranker
        self.model = ranker.behaviour
        self.config = ranker.config.train
        self.rule = rule or make_rule(self.config.update_rule, self.model)
        learnt = self.rule.learnt()
        rate = self.config.transformer_rate * self.rule.rate
        self.adam = Adam(learnt, dict.fromkeys(learnt, rate))
        self.block = 0
        self.passed = 0

    def student(self) -> Student:
        """What is taught, as the rule sees it."""
        return Student(self.model, self.ranker.residuals, self._text_IE(), self.ranker.config.seed)

    def _text_IE(self) -> Tensor | None:
        text_IE = self.ranker.tower.text_IE()
        return text_IE if self.ranker.tower.has_text else None

    def begin_block(self) -> None:
        """End a block and begin the next: what was learnt is consolidated as the rule says."""
        self.block += 1
        self.passed = 0
        self.adam.forget(self.rule.begin_block(self.student(), self.block))
        self.ranker.tower.stale()

    def pass_by(self, examples: int) -> None:
        """Count new examples; a stream's blocks are all equally long."""
        if self.passed >= self.config.consolidate_every:
            self.begin_block()
        self.passed += examples

    def step(
        self,
        past: Histories,
        target_B: NDArray[np.int32],
        factor: float,
        generator: np.random.Generator,
        *,
        replayed: bool = False,
    ) -> None:
        """Sampled softmax with logQ correction, on top of log-popularity.

        The logit of an item is its product with the user plus its log-popularity, so that what
        the transformer learns is what popularity doesn't say (Menon et al. 2021, logit
        adjustment); minus the logarithm of how often it is sampled (Bengio & Senécal 2008).
        """
        with_past = past.rows_BT[:, -1] >= 0
        taught = int(with_past.sum())
        if not self.peers.count(taught):
            return
        rows_U, gradient_UD = np.zeros(0, np.int32), torch.zeros(0, self.model.width)
        if taught:
            past, target_B = past.take(np.flatnonzero(with_past)), target_B[with_past]
            rows_U, gradient_UD = self._backward(past, target_B, generator, replayed=replayed)
        self.peers.average(self.adam.parameters.values(), taught)
        self.adam.step(factor)
        rows_U, gradient_UD = self.peers.rows(rows_U, gradient_UD, taught)
        self.ranker.residuals.update(rows_U, gradient_UD, factor * self.config.residual_rate)
        self.ranker.tower.stale()

    def _backward(
        self,
        past: Histories,
        target_B: NDArray[np.int32],
        generator: np.random.Generator,
        *,
        replayed: bool,
    ) -> tuple[NDArray[np.int32], Tensor]:
        """Leave gradients at the weights; return those of the items, by row."""
        ranker, model = self.ranker, self.model
        device = ranker.device

        # 1. What is scored: the targets and the negatives, each once.
        counts_I = ranker.experts.popularity.counts_HI[2, : len(ranker.catalog)]
        share_I = counts_I / max(float(counts_I.sum()), 1e-9)
        columns_C, chance_C = draw_columns(
            target_B, share_I, np.cumsum(share_I), self.config.negatives, generator
        )
        popular_C = np.log(share_I[columns_C] + SHARE_FLOOR)

        # 2. The towers of all items in play, residuals as leaves of the graph.
        steps = Steps(past, ranker.config.model.transformer_steps, device)
        rows_U = np.unique(np.concatenate([np.maximum(steps.rows_BT, 0).ravel(), columns_C]))
        steps.index(rows_U, device)
        at_U = torch.from_numpy(rows_U.astype(np.int64))
        residual_UD = ranker.residuals.vectors_ID[at_U].to(device).requires_grad_()
        with ranker.autocast():
            text_IE = self._text_IE()
            if text_IE is not None:
                items_UD = model.towers(text_IE[at_U.to(device)], residual_UD)
            else:
                items_UD = residual_UD
            users_BD = model.users(items_UD, steps, self._noise(generator))
            columns = torch.from_numpy(np.searchsorted(rows_U, columns_C)).to(device)
            logits_BC = (users_BD @ items_UD[columns].T).float()

        # 3. The loss, and back.
        label = np.searchsorted(columns_C, target_B)
        offset_BC = np.tile(popular_C - np.log(chance_C), (len(target_B), 1))
        offset_BC[np.arange(len(target_B)), label] = popular_C[label]
        offset = torch.from_numpy(offset_BC.astype(np.float32)).to(device)
        label_B = torch.from_numpy(label).to(device)
        logits_BC = logits_BC + offset
        loss = torch.nn.functional.cross_entropy(logits_BC, label_B)
        attempt = Attempt(loss, logits_BC, offset, past, columns_C, replayed, text_IE)
        torch.autograd.backward(self.rule.loss(attempt))
        assert residual_UD.grad is not None
        return rows_U.astype(np.int32), residual_UD.grad.cpu()

    def _noise(self, generator: np.random.Generator) -> Callable[[Tensor], Tensor] | None:
        """Dropout, if the rule has it, whose numbers follow from the micro-batch's."""
        share = self.rule.dropout
        if not share:
            return None
        torch_generator = torch.Generator().manual_seed(int(generator.integers(2**62)))

        def drop(tokens_BTD: Tensor) -> Tensor:
            kept_BTD = torch.rand(tokens_BTD.shape, generator=torch_generator) >= share
            return tokens_BTD * kept_BTD.to(tokens_BTD.device) / (1.0 - share)

        return drop

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps, beside weights and moments."""
        kept: dict[str, NDArray[np.generic]] = {"blocks": np.array([self.block, self.passed])}
        return kept | {f"rule.{name}": array for name, array in self.rule.state().items()}

    def restore(
        self, state: Mapping[str, NDArray[np.generic]], row_of_I: NDArray[np.int64]
    ) -> None:
        """Take a snapshot; the model was restored before."""
        self.block, self.passed = (int(n) for n in state["blocks"])
        own = {k.removeprefix("rule."): v for k, v in state.items() if k.startswith("rule.")}
        self.rule.restore(self.student(), own, row_of_I)
