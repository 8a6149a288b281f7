"""What a batch of windows is taught: what came next, and whatever else a pretraining asks for.

Legend: `B` windows, `T` steps, `P` positions, `C` scored items, `K` items of a soft list, `U`
distinct rows, `D` width.

Beside the loss of the next item there may be a teacher's soft lists (`learner.soft_lists`), two
changed views of each history that have to be alike (`learner.views`), and the same losses again
after the items' vectors were moved where it hurts most: the fast gradient sign method on embeddings
(Goodfellow et al. 2015; He et al., SIGIR 2018, as adversarial personalised ranking).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding, normalize

from learner.pretraining_config import PretrainConfig
from learner.pretraining_loss import Columns, Popularity, gbce_loss, softmax_loss
from learner.pretraining_student import Cut, Student, cut, offset_of
from learner.sequences import Sequences, Windows
from learner.soft_lists import SoftLists, soft_losses
from learner.views import likeness_loss, two_views


class Batch(NamedTuple):
    """Windows as they are read, and where in the batch's distinct rows all that is scored is."""

    read: Cut
    real_BT: Tensor
    rows_U: NDArray[np.int64]
    columns: Columns
    at_C: Tensor
    offset_C: Tensor
    lists: SoftLists | None
    at_PK: Tensor
    offset_PK: Tensor


class Objective:
    """The loss of a batch.

    Parameters
    ----------
    student
        Who learns.
    sequences
        What is learnt from.
    popularity
        How often each item is taken there.
    lists
        What a teacher says of each event, if there is one.
    """

    def __init__(
        self,
        student: Student,
        sequences: Sequences,
        popularity: Popularity,
        config: PretrainConfig,
        lists: SoftLists | None = None,
    ) -> None:
        self.student, self.sequences, self.popularity = student, sequences, popularity
        self.config, self.lists = config, lists

    def loss(self, windows: Windows, generator: np.random.Generator) -> Tensor:
        """The loss of these windows, by what is drawn for them."""
        config, student = self.config, self.student
        batch = self._draw(windows, generator)
        items_UD = student.towers(batch.rows_U)
        loss = self._loss(items_UD, batch)
        if config.adversarial:
            (gradient_UD,) = torch.autograd.grad(loss, items_UD, retain_graph=True)
            length_U1 = items_UD.detach().norm(dim=1, keepdim=True)
            moved_UD = items_UD + config.adversarial * length_U1 * normalize(gradient_UD, dim=1)
            loss = (loss + self._loss(moved_UD, batch)) / 2
        if config.contrast and len(windows) > 1:
            users_ND = two_views(student, self.sequences, windows, config.dropout, generator)
            loss = loss + config.contrast * likeness_loss(users_ND)
        return loss

    def _draw(self, windows: Windows, generator: np.random.Generator) -> Batch:
        config, device = self.config, self.student.device
        read = cut(self.sequences, windows, device)
        real = read.real_BT
        columns = self.popularity.columns(read.target_BT[real], config.negatives, generator)
        lists = None if self.lists is None else self.lists.of(read.next_BT[real])
        listed_PK = np.zeros((0, 0), np.int32) if lists is None else lists.rows_NK
        inputs_BT = np.maximum(read.steps.rows_BT, 0)
        rows_U = np.unique(np.concatenate([inputs_BT.ravel(), columns.items_C, listed_PK.ravel()]))
        read.steps.index(rows_U.astype(np.int32), device)
        offset_U = offset_of(self.popularity, rows_U, used=config.popularity_offset).to(device)
        at_C = torch.from_numpy(np.searchsorted(rows_U, columns.items_C)).to(device)
        at_PK = torch.from_numpy(np.searchsorted(rows_U, listed_PK)).to(device)
        real_BT = torch.from_numpy(real).to(device)
        offset_C, offset_PK = offset_U[at_C], offset_U[at_PK]
        return Batch(read, real_BT, rows_U, columns, at_C, offset_C, lists, at_PK, offset_PK)

    def _loss(self, items_UD: Tensor, batch: Batch) -> Tensor:
        config, columns = self.config, batch.columns
        users_PD = self.student.users(items_UD, batch.read, config.dropout)[batch.real_BT]
        logits_PC = users_PD @ items_UD[batch.at_C].T + batch.offset_C
        if config.loss == "softmax":
            loss = softmax_loss(logits_PC, columns)
        else:
            loss = gbce_loss(logits_PC, columns, self.popularity.items)
        if batch.lists is not None and config.distill is not None:
            items_PKD = embedding(batch.at_PK, items_UD)
            logits_PK = torch.einsum("pd,pkd->pk", users_PD, items_PKD) + batch.offset_PK
            loss = loss + soft_losses(logits_PK, logits_PC, columns, batch.lists, config.distill)
        return loss
