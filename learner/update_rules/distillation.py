"""Held to what it said: exemplars of earlier blocks, answered as before the block (ADER).

F. Mi, X. Lin, B. Faltings: ADER, RecSys 2020, arXiv 2007.12000. A step on new examples goes down
the cross-entropy; one on replayed examples goes down the distance to the answers of the model as
it was when the block began, items that it didn't know left out.

Legend: `B` examples, `C` scored items, `D` width, `I` rows, `K` columns that the teacher knew.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.behaviour import Behaviour, Steps
from learner.tower import Residuals
from learner.update_rules.rule import Attempt, Single, Student

WEIGHT = 0.8
"""Of what is held against what is new, before both are weighed by their sizes (ADER, table 2)."""


class Distillation(Single):
    """One adapter; what is replayed is answered as the last block's model answered it."""

    def __init__(self, model: Behaviour, weight: float = WEIGHT) -> None:
        super().__init__(model)
        self.weight = weight
        self._teacher: tuple[Behaviour, Residuals] | None = None

    def begin_block(self, student: Student, block: int) -> tuple[str, ...]:
        """Keep a copy of the model: the teacher."""
        self._teacher = (copy.deepcopy(student.model), copy.deepcopy(student.residuals))
        return ()

    def weigh(self, known: int, new: int, kept: int, fresh: int) -> None:
        """Adapt the weight to a block's size (ADER, equation 5).

        Parameters
        ----------
        known, new
            Items before the block, and that the block has brought.
        kept, fresh
            Examples that are replayed, and that are new.
        """
        self.weight = WEIGHT * (known / max(known + new, 1) * kept / max(fresh, 1)) ** 0.5

    def loss(self, attempt: Attempt) -> Tensor:
        """Cross-entropy on what is new, distance from the teacher on what is replayed."""
        if self._teacher is None or not attempt.replayed:
            return attempt.cross_entropy
        residuals = self._teacher[1]
        columns_C = attempt.columns_C
        held = columns_C < len(residuals.admitted_I)
        held[held] = residuals.admitted_I[columns_C[held]]
        if not held.any():
            return attempt.cross_entropy
        at_K = torch.from_numpy(np.flatnonzero(held)).to(attempt.logits_BC.device)
        logits_BK = answers(*self._teacher, attempt, columns_C[held]) + attempt.offset_BC[:, at_K]
        log_student_BK = attempt.logits_BC[:, at_K].log_softmax(dim=1)
        distance = -(logits_BK.softmax(dim=1) * log_student_BK).sum(dim=1).mean()
        return self.weight * distance

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The teacher."""
        if self._teacher is None:
            return {}
        model, residuals = self._teacher
        kept: dict[str, NDArray[np.generic]] = {
            f"model.{name}": p.detach().cpu().numpy() for name, p in model.named_parameters()
        }
        return kept | {f"items.{name}": array for name, array in residuals.state().items()}

    @torch.no_grad()
    def restore(
        self,
        student: Student,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
    ) -> None:
        """Take a snapshot."""
        self._teacher = None
        if not state:
            return
        model = copy.deepcopy(student.model)
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(np.array(state[f"model.{name}"])))
        residuals = Residuals(model.width)
        saved = {k.removeprefix("items."): v for k, v in state.items() if k.startswith("items.")}
        residuals.restore(saved, row_of_I, len(student.residuals.admitted_I))
        self._teacher = (model, residuals)


@torch.no_grad()
def answers(
    model: Behaviour, residuals: Residuals, attempt: Attempt, columns_K: NDArray[np.int64]
) -> Tensor:
    """What another model says of a step's examples and of some of its items: (B, K)."""
    device = attempt.logits_BC.device
    steps = Steps(attempt.past, model.config.transformer_steps, device)
    rows_U = np.unique(np.concatenate([np.maximum(steps.rows_BT, 0).ravel(), columns_K]))
    steps.index(rows_U, device)
    at_U = torch.from_numpy(rows_U.astype(np.int64))
    # Rows that came later have no vector in the teacher: they read as an item unknown to it.
    residual_UD = torch.zeros(len(rows_U), model.width)
    old_U = at_U < len(residuals.vectors_ID)
    residual_UD[old_U] = residuals.vectors_ID[at_U[old_U]]
    items_UD = residual_UD.to(device)
    if attempt.text_IE is not None:
        items_UD = model.towers(attempt.text_IE[at_U.to(device)], items_UD)
    columns = torch.from_numpy(np.searchsorted(rows_U, columns_K)).to(device)
    answers_BK: Tensor = model.users(items_UD, steps) @ items_UD[columns].T
    return answers_BK
