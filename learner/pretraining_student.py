"""The model as pretraining sees it: everything but the adapters, and a table of item vectors.

Legend: `B` windows, `T` steps, `D` width, `E` width of text vectors, `I` catalogue rows, `U` some
distinct rows, `N` items that the log has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.behaviour import Behaviour, Laid, Steps
from learner.pretraining_loss import Popularity
from learner.sequences import Sequences, Windows
from learner.tower import Residuals

ITEMS = "items"
"""The name of the table of item vectors among the parameters."""

QUIET = 0.3
"""Vectors of a fresh model start shorter than online, and are read louder by the root of the width
(as in Vaswani et al. 2017): what is scored before it is learnt is then next to nothing."""

SCORED = 256
"""Users ranked at once: more of them don't fit the cache beside a large catalogue."""


class Student:
    """A model, the vectors of the items that a log has, and what of them is learnt.

    Parameters
    ----------
    model
        If its output head is still zero it becomes the identity: nothing could start to learn.
    residuals
        Items that have a vector there start from it.
    text_IE
        Text vectors by row, `None` without any text.
    taken_I
        Which items the log has: these get vectors.
    item_ids
        Every row's id.
    """

    def __init__(
        self,
        model: Behaviour,
        residuals: Residuals,
        text_IE: Tensor | None,
        taken_I: NDArray[np.bool_],
        item_ids: Sequence[str],
    ) -> None:
        self.model = model
        self.device = model.output_DD.device
        self.text_IE = None if text_IE is None else text_IE.to(self.device)
        self.rows_N = np.flatnonzero(taken_I)
        self.row_of_I = np.where(taken_I, np.cumsum(taken_I) - 1, len(self.rows_N))
        fresh = not bool(model.output_DD.any())
        if fresh:
            with torch.no_grad():
                model.output_DD.copy_(torch.eye(model.width))
                model.gain.fill_(model.width**0.5)
        residuals.reserve(len(taken_I))
        first_ND = model.first_residuals([item_ids[row] for row in self.rows_N.tolist()])
        first_ND *= QUIET if fresh else 1.0
        have_N = torch.from_numpy(residuals.admitted_I[self.rows_N])
        first_ND[have_N] = residuals.vectors_ID[torch.from_numpy(self.rows_N)][have_N]
        # The last row stands for all items that the log doesn't have, and stays zero.
        table_ID = torch.cat([first_ND, torch.zeros(1, model.width)]).to(self.device)
        self.parameters: dict[str, Tensor] = {
            name: p
            for name, p in model.named_parameters()
            if "lora_" not in name and (name != "project_DE" or text_IE is not None)
        }
        self.parameters[ITEMS] = table_ID.requires_grad_()

    def towers(self, rows_U: NDArray[np.int64]) -> Tensor:
        """The towers of these rows: (U, D)."""
        at_U = torch.from_numpy(self.row_of_I[rows_U]).to(self.device)
        table = self.parameters[ITEMS]
        residual_UD = nn.functional.embedding(at_U, table, padding_idx=len(table) - 1)
        if self.text_IE is None:
            return residual_UD
        return self.model.towers(self.text_IE[torch.from_numpy(rows_U)], residual_UD)

    def users(self, items_UD: Tensor, cut: Cut, dropout: float) -> Tensor:
        """The user at each step of each window: (B, T, D)."""
        tokens_BTD = self.model.tokens(items_UD, cut.steps)
        if dropout:
            tokens_BTD = nn.functional.dropout(tokens_BTD, dropout)
        body = self.model.body.get_base_model()
        hidden_BTD: Tensor = body(inputs_embeds=tokens_BTD, use_cache=False).last_hidden_state
        return hidden_BTD @ self.model.output_DD

    @contextlib.contextmanager
    def learning(self, dropout: float) -> Iterator[None]:
        """The base learns, adapters are off, values drop out; afterwards all is as before."""
        wanted = {name: p.requires_grad for name, p in self.model.named_parameters()}
        body = self.model.body.get_base_model()

        def drop(_: nn.Module, __: object, out: Tensor) -> Tensor:
            return nn.functional.dropout(out, dropout)

        hooks = []
        for layer in body.layers if dropout else ():
            hooks += [layer.mlp.register_forward_hook(drop)]
            hooks += [layer.self_attn.o_proj.register_forward_hook(drop)]
        try:
            with self.model.body.disable_adapter():
                for name, parameter in self.model.named_parameters():
                    parameter.requires_grad_("lora_" not in name)
                yield
        finally:
            for hook in hooks:
                hook.remove()
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(wanted[name])

    @torch.no_grad()
    def rank(
        self, sequences: Sequences, windows: Windows, offset_I: Tensor, *, filter_seen: bool
    ) -> NDArray[np.float64]:
        """The rank of each window's last event among all items; a tie counts half."""
        towers_ID = self.towers(np.arange(len(self.row_of_I)))
        ranks = [np.zeros(0)]
        with self.learning(0.0):
            for i in range(0, len(windows), SCORED):
                part = windows.take(np.arange(i, min(i + SCORED, len(windows))))
                read = cut(sequences, part, self.device)
                read.steps.index(np.arange(len(towers_ID), dtype=np.int32), self.device)
                line_B, last_B = np.arange(len(part)), read.real_BT.sum(axis=1) - 1
                users_BD = self.users(towers_ID, read, 0.0)[line_B, last_B]
                score_BI = users_BD @ towers_ID.T + offset_I
                own_B1 = score_BI[line_B, read.target_BT[line_B, last_B]][:, None]
                if filter_seen:
                    _mask_seen(score_BI, sequences, part)
                above_B = (score_BI > own_B1).sum(dim=1)
                same_B = (score_BI == own_B1).sum(dim=1)
                ranks.append((above_B + (same_B - 1).clamp(min=0) / 2 + 1).double().cpu().numpy())
        return np.concatenate(ranks)

    @torch.no_grad()
    def graduate(self, residuals: Residuals, square_ND: Tensor) -> None:
        """Hand the item vectors over, and the squared gradients behind them."""
        vectors_ND = self.parameters[ITEMS][:-1].detach().cpu().clone()
        residuals.admit(self.rows_N, vectors_ND, square_ND[:-1].mean(dim=1).cpu())


class Cut(NamedTuple):
    """Windows as the transformer reads them, what came next at each step, which steps are real."""

    steps: Steps
    target_BT: NDArray[np.int32]
    next_BT: NDArray[np.int64]
    """Where among the sequences' events each target is."""
    real_BT: NDArray[np.bool_]


def cut(sequences: Sequences, windows: Windows, device: torch.device) -> Cut:
    """Read windows off the sequences."""
    length_B = windows.end_W - windows.begin_W - 1
    step_T = np.arange(max(1, int(length_B.max(initial=1))))
    real_BT = step_T < length_B[:, None]
    at_BT = np.where(real_BT, windows.begin_W[:, None] + step_T, windows.end_W[:, None] - 2)
    laid = Laid(
        np.where(real_BT, sequences.rows_N[at_BT], -1),
        sequences.kinds_N[at_BT],
        sequences.ts_N[at_BT],
        sequences.ts_N[at_BT + 1],
        sequences.ratings_N[at_BT],
        length_B,
    )
    steps = Steps(laid, len(step_T), device)
    return Cut(steps, sequences.rows_N[at_BT + 1], at_BT + 1, real_BT)


def offset_of(popularity: Popularity, items_C: NDArray[np.int64], *, used: bool) -> Tensor:
    """What is added to logits: log-popularity, or nothing."""
    log_share_C = popularity.log_share_I[items_C]
    return torch.from_numpy(log_share_C if used else np.zeros_like(log_share_C))


def _mask_seen(score_BI: Tensor, sequences: Sequences, part: Windows) -> None:
    start_B = sequences.starts_S[sequences.user_N[part.begin_W]]
    for line, (start, end) in enumerate(zip(start_B, part.end_W - 1, strict=True)):
        score_BI[line, sequences.rows_N[start:end].astype(np.int64)] = -torch.inf
