"""What the learner is compared with: the same transformer, the same steps, and nothing else.

This is what one writes with `transformers`, `peft` and `torch.optim` when a whole log lies in
memory: all batches are tensors on the device before the clock starts. Each new batch is stepped on
once, and as often again on old ones as the learner replays. There is no ranking, no counting, no
other feature or arm, no drift, no gate and no checkpoint.

Legend: `B` examples, `T` steps, `C` scored items, `U` distinct rows, `I` items, `D` width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from features.catalog import Catalog
from learner.batch import histories_of
from learner.behaviour import Behaviour, Steps
from learner.config import LearnerConfig
from learner.device import pick_device
from learner.last_step import last_hidden
from learner.negatives import SHARE_FLOOR, draw_columns
from learner.update_rules.choose import make_rule
from stream.events import Example

RATE = 3e-3


class Batch(NamedTuple):
    """All that a step needs, on the device."""

    steps: Steps
    rows_U: Tensor
    columns_C: Tensor
    """Where the scored items are among `rows_U`."""
    offset_BC: Tensor
    label_B: Tensor

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.label_B)


class BareLoop:
    """Forward, sampled softmax, backward, optimiser.

    Parameters
    ----------
    ours
        Read the steps as the learner does (`learner.last_step`), rather than by the libraries' own
        forward pass.
    """

    def __init__(self, catalog: Catalog, config: LearnerConfig, *, ours: bool) -> None:
        self.device = pick_device(config.device)
        self.config = config
        self.ours = ours
        self.model = Behaviour(config.model, catalog.width, config.seed).to(self.device)
        rule = make_rule(config.train.update_rule, self.model)
        self.dropout = rule.dropout
        self.text_IE = torch.from_numpy(catalog.vectors.copy()).to(self.device)
        first_ID = self.model.first_residuals(
            [catalog.item(n).item_id for n in range(len(catalog))]
        )
        self.items_ID = nn.Parameter(first_ID.to(self.device))
        fused = torch.optim.AdamW(rule.learnt().values(), lr=RATE, weight_decay=0.0, fused=True)
        vectors = torch.optim.Adagrad([self.items_ID], lr=config.train.residual_rate)
        self.optimisers = (fused, vectors)

    def batches(self, catalog: Catalog, examples: Sequence[Example]) -> list[Batch]:
        """Lay examples out as tensors, micro-batch by micro-batch."""
        size, generator = self.config.train.batch, np.random.default_rng(0)
        count_I = np.zeros(len(catalog))
        made = []
        for i in range(0, len(examples), size):
            part = examples[i : i + size]
            target_B = catalog.rows(example.item_id for example in part)
            np.add.at(count_I, target_B, 1.0)
            made.append(self._batch(catalog, part, target_B, count_I / count_I.sum(), generator))
        return made

    def _batch(
        self,
        catalog: Catalog,
        part: Sequence[Example],
        target_B: NDArray[np.int32],
        share_I: NDArray[np.float64],
        generator: np.random.Generator,
    ) -> Batch:
        model, train = self.config.model, self.config.train
        past = histories_of(catalog, part, model.steps)
        columns_C, chance_C = draw_columns(
            target_B, share_I, np.cumsum(share_I), train.negatives, generator
        )
        popular_C = np.log(share_I[columns_C] + SHARE_FLOOR)
        steps = Steps(past, model.transformer_steps, self.device)
        rows_U = np.unique(np.concatenate([np.maximum(steps.rows_BT, 0).ravel(), columns_C]))
        steps.index(rows_U, self.device)
        label_B = np.searchsorted(columns_C, target_B)
        offset_BC = np.tile(popular_C - np.log(chance_C), (len(target_B), 1))
        offset_BC[np.arange(len(target_B)), label_B] = popular_C[label_B]

        def put(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(self.device)

        return Batch(
            steps,
            put(rows_U.astype(np.int64)),
            put(np.searchsorted(rows_U, columns_C)),
            put(offset_BC.astype(np.float32)),
            put(label_B),
        )

    def step(self, batch: Batch) -> Tensor:
        """One step; the loss stays on the device."""
        model, cuda = self.model, self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=cuda):
            items_UD = model.towers(self.text_IE[batch.rows_U], self.items_ID[batch.rows_U])
            tokens_BTD = nn.functional.dropout(model.tokens(items_UD, batch.steps), self.dropout)
            if self.ours:
                last_BD = last_hidden(model.body, tokens_BTD, batch.steps.last_B)
            else:
                said = model.body(inputs_embeds=tokens_BTD, use_cache=False)
                line_B = torch.arange(len(batch), device=self.device)
                last_BD = said.last_hidden_state[line_B, batch.steps.last_B]
            users_BD = (last_BD @ model.output_DD) * batch.steps.known_B[:, None]
            logits_BC = (users_BD @ items_UD[batch.columns_C].T).float() + batch.offset_BC
        loss = nn.functional.cross_entropy(logits_BC, batch.label_B)
        torch.autograd.backward(loss)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    def learn(self, batches: Sequence[Batch], at: int) -> None:
        """Step on a new batch, and on as many old ones as the learner replays."""
        self.step(batches[at])
        for again in range(self.config.train.replays if at else 0):
            self.step(batches[(at * 7 + again * 3) % at])
