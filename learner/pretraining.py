"""Pretraining: the whole transformer and every item's vector learn a recorded log, many times over.

Legend: `B` windows, `T` steps, `P` positions, `C` scored items, `U` distinct rows, `D` width, `E`
width of text vectors, `I` catalogue rows, `N` events.

Every step of every window is a position that has to say what came next. A logit is what it is
online (`learner.behaviour_step`): user times tower, on top of log-popularity unless that is turned
off. Afterwards the base is frozen again, and what follows the stream are adapters and heads.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.behaviour import Behaviour, Steps
from learner.optim_dense import DenseAdam
from learner.pretraining_loss import Popularity, gbce_loss, softmax_loss
from learner.ranking_metrics import gains
from learner.sequences import Sequences, Windows, last_windows, shuffled, windows_of
from learner.tower import Residuals

ITEMS = "items"
"""The name of the table of item vectors among the parameters."""

SCORED = 256
"""Users ranked at once in a validation: a few of them fill the cache with a large catalogue."""


class PretrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a base is pretrained."""

    epochs: Annotated[int, Meta(ge=1, le=10_000, description="passes over the log at most")] = 30
    batch: Annotated[int, Meta(ge=1, le=65_536, description="windows learnt together")] = 128
    steps: Annotated[
        int, Meta(ge=1, le=512, description="events of a window; longer histories are cut")
    ] = 50
    rate: Annotated[float, Meta(gt=0, le=1, description="step size (Adam)")] = 1e-3
    warmup: Annotated[
        int, Meta(ge=0, description="steps in which the step size rises from nothing")
    ] = 200
    decay: Annotated[float, Meta(ge=0, le=1, description="decoupled weight decay")] = 0.0
    clip: Annotated[float, Meta(gt=0, description="longest gradient")] = 1.0
    loss: Annotated[
        Literal["softmax", "gbce"],
        Meta(description="sampled softmax, corrected for the sampling, or calibrated binary"),
    ] = "softmax"
    negatives: Annotated[
        int, Meta(ge=1, le=1_000_000, description="sampled items that a batch shares")
    ] = 1_024
    popularity_offset: Annotated[
        bool, Meta(description="learn what popularity doesn't say, as online")
    ] = True
    dropout: Annotated[float, Meta(ge=0, lt=1, description="share of values left out")] = 0.1
    patience: Annotated[
        int, Meta(ge=1, description="epochs without a better validation before the end")
    ] = 5
    holdout: Annotated[
        Literal["time", "last"],
        Meta(description="validate on the log's last events, or on each user's last one"),
    ] = "time"
    valid_share: Annotated[
        float, Meta(gt=0, lt=0.5, description="share of the time range held out by `time`")
    ] = 0.05
    valid_max: Annotated[int, Meta(ge=1, description="held-out events ranked at most")] = 2_000
    filter_seen: Annotated[
        bool, Meta(description="don't rank what a user had, where a log has no repeats")
    ] = False
    seed: Annotated[int, Meta(ge=0, description="two runs with one seed are bit-equal")] = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a pretraining is: for a progress bar."""

    epoch: int
    done: int
    """Positions of this epoch."""
    total: int
    loss: float
    """Its running mean over the epoch."""
    ndcg10: float | None
    """Of the last validation."""


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """What one epoch came to."""

    number: int
    loss: float
    ndcg10: float
    hr10: float
    seconds: float


class PretrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a pretraining came to; the weights are those of the best epoch."""

    epochs: tuple[Epoch, ...]
    best: int
    ndcg10: float
    hr10: float
    positions: int
    """Next items per epoch."""
    items: int
    """Items with a vector of their own."""
    seconds: float


Progress = Callable[[Moment], None]


class Pretraining:
    """A pretraining under way: `epoch` by `epoch`, its state can be saved and restored between.

    Parameters
    ----------
    model
        Trained in place.
    residuals
        Where item vectors end up at the end; items that have some start from what they have.
    text_IE
        Text vectors by row, `None` without any text.
    sequences
        The log.
    item_ids
        Every row's id: a new vector depends on it.
    config
        Every number.
    """

    def __init__(
        self,
        model: Behaviour,
        residuals: Residuals,
        text_IE: Tensor | None,
        sequences: Sequences,
        item_ids: list[str],
        config: PretrainConfig,
    ) -> None:
        self.model, self.residuals, self.config = model, residuals, config
        self.device = model.output_DD.device
        self.text_IE = None if text_IE is None else text_IE.to(self.device)
        self.sequences, self.items = sequences, len(item_ids)
        self.epochs: list[Epoch] = []

        # 1. What is held out, and what is learnt.
        held_N = hold_out(sequences, config)
        self.popularity = Popularity(sequences.rows_N[~held_N], self.items)
        self.train = sequences.only(~held_N)
        self.windows = windows_of(self.train, config.steps)
        with_past = np.ones(len(held_N), np.bool_)
        with_past[sequences.starts_S[sequences.starts_S < len(held_N)]] = False
        at_N = np.flatnonzero(held_N & with_past)
        generator = np.random.default_rng((config.seed, 0))
        if len(at_N) > config.valid_max:
            at_N = np.sort(generator.choice(at_N, config.valid_max, replace=False))
        self.valid = last_windows(sequences, at_N, config.steps)

        # 2. The parameters: everything but the adapters. The last item row stands for all items
        #    that the log doesn't have, and stays zero.
        self.taken_I = self.popularity.share_I > 0
        self.row_of_I = np.where(self.taken_I, np.cumsum(self.taken_I) - 1, self.taken_I.sum())
        if not bool(model.output_DD.any()):
            with torch.no_grad():
                model.output_DD.copy_(torch.eye(model.width))
        table_ID = self._first_vectors(item_ids)
        self.parameters: dict[str, Tensor] = {
            name: p
            for name, p in model.named_parameters()
            if "lora_" not in name and (name != "project_DE" or text_IE is not None)
        }
        self.parameters[ITEMS] = table_ID.to(self.device).requires_grad_()
        self.adam = DenseAdam(self.parameters, config.decay)
        self.best: dict[str, Tensor] = {}

    @property
    def over(self) -> bool:
        """Whether there is nothing more to gain."""
        if len(self.epochs) >= self.config.epochs:
            return True
        return len(self.epochs) - self.best_epoch >= self.config.patience and bool(self.epochs)

    @property
    def best_epoch(self) -> int:
        """The number of the epoch with the best validation; 0 before the first."""
        best = max(self.epochs, key=lambda e: (e.ndcg10, -e.number), default=None)
        return best.number if best else 0

    def epoch(self, progress: Progress = lambda moment: None) -> Epoch:
        """Go over the log once, then validate."""
        number = len(self.epochs) + 1
        config, began = self.config, time.perf_counter()
        generator = np.random.default_rng((config.seed, number))
        total, done, summed = self.windows.positions(), 0, 0.0
        before = self.epochs[-1].ndcg10 if self.epochs else None
        with torch.random.fork_rng(devices=[]), _teaching(self.model, config.dropout):
            torch.manual_seed(config.seed * 1_000_003 + number)
            for part in shuffled(self.windows, config.batch, generator):
                loss = self._step(part, generator)
                summed += loss * part.positions()
                done += part.positions()
                progress(Moment(number, done, total, summed / done, before))
        rank_N = self.validate()
        epoch = Epoch(
            number=number,
            loss=summed / max(1, done),
            ndcg10=float(gains(rank_N).mean()) if len(rank_N) else 0.0,
            hr10=float((rank_N <= 10).mean()) if len(rank_N) else 0.0,
            seconds=time.perf_counter() - began,
        )
        self.epochs.append(epoch)
        if self.best_epoch == number:
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        return epoch

    def validate(self) -> NDArray[np.float64]:
        """Ranks of the held-out events among all items."""
        return self.rank(self.sequences, self.valid)

    @torch.no_grad()
    def rank(self, sequences: Sequences, windows: Windows) -> NDArray[np.float64]:
        """The rank of each window's last event among all items; ties count as above it by half."""
        towers_ID = self._towers(np.arange(self.items))
        offset_I = torch.from_numpy(self.popularity.log_share_I).to(self.device)
        ranks = [np.zeros(0)]
        with _teaching(self.model, 0.0):
            for i in range(0, len(windows), SCORED):
                part = windows.take(np.arange(i, min(i + SCORED, len(windows))))
                steps, target_BT, real_BT = cut(sequences, part, self.device)
                steps.item_BT = torch.from_numpy(np.maximum(steps.rows_BT, 0).astype(np.int64))
                hidden_BTD = self._hidden(towers_ID, steps)
                last_B = torch.from_numpy(real_BT.sum(axis=1) - 1)
                users_BD = hidden_BTD[torch.arange(len(part)), last_B] @ self.model.output_DD
                score_BI = users_BD @ towers_ID.T
                if self.config.popularity_offset:
                    score_BI += offset_I
                target_B = target_BT[np.arange(len(part)), real_BT.sum(axis=1) - 1]
                own_B1 = score_BI[torch.arange(len(part)), torch.from_numpy(target_B)][:, None]
                if self.config.filter_seen:
                    self._mask_seen(score_BI, sequences, part)
                above_B = (score_BI > own_B1).sum(dim=1)
                same_B = (score_BI == own_B1).sum(dim=1)
                ranks.append((above_B + (same_B - 1).clamp(min=0) / 2 + 1).double().cpu().numpy())
        return np.concatenate(ranks)

    @torch.no_grad()
    def finish(self) -> PretrainReport:
        """Put the best weights in place, and every item's vector among the residuals."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.best.get(name, parameter))
        rows_N = np.flatnonzero(self.taken_I)
        self.residuals.reserve(self.items)
        self.residuals.admit(rows_N, self.parameters[ITEMS][:-1].detach().cpu().clone())
        best = self.best_epoch
        return PretrainReport(
            epochs=tuple(self.epochs),
            best=best,
            ndcg10=self.epochs[best - 1].ndcg10 if best else 0.0,
            hr10=self.epochs[best - 1].hr10 if best else 0.0,
            positions=self.windows.positions(),
            items=len(rows_N),
            seconds=sum(epoch.seconds for epoch in self.epochs),
        )

    def _first_vectors(self, item_ids: list[str]) -> Tensor:
        rows_N = np.flatnonzero(self.taken_I)
        first_ND = self.model.first_residuals([item_ids[row] for row in rows_N])
        self.residuals.reserve(self.items)
        have_N = torch.from_numpy(self.residuals.admitted_I[rows_N])
        first_ND[have_N] = self.residuals.vectors_ID[torch.from_numpy(rows_N)][have_N]
        return torch.cat([first_ND, torch.zeros(1, self.model.width)])

    def _towers(self, rows_U: NDArray[np.int64]) -> Tensor:
        at_U = torch.from_numpy(self.row_of_I[rows_U]).to(self.device)
        table = self.parameters[ITEMS]
        residual_UD = nn.functional.embedding(at_U, table, padding_idx=len(table) - 1)
        if self.text_IE is None:
            return residual_UD
        return self.model.towers(self.text_IE[torch.from_numpy(rows_U)], residual_UD)

    def _hidden(self, items_UD: Tensor, steps: Steps, dropout: float = 0.0) -> Tensor:
        tokens_BTD = self.model.tokens(items_UD, steps)
        if dropout:
            tokens_BTD = nn.functional.dropout(tokens_BTD, dropout)
        body = self.model.body.get_base_model()
        hidden_BTD: Tensor = body(inputs_embeds=tokens_BTD, use_cache=False).last_hidden_state
        return hidden_BTD

    def _step(self, windows: Windows, generator: np.random.Generator) -> float:
        config, popularity = self.config, self.popularity
        steps, target_BT, real_BT = cut(self.train, windows, self.device)
        columns = popularity.columns(target_BT[real_BT], config.negatives, generator)
        rows_U = np.unique(np.concatenate([np.maximum(steps.rows_BT, 0).ravel(), columns.items_C]))
        steps.index(rows_U.astype(np.int32), self.device)
        items_UD = self._towers(rows_U.astype(np.int64))
        hidden_BTD = self._hidden(items_UD, steps, config.dropout)
        users_PD = hidden_BTD[torch.from_numpy(real_BT).to(self.device)] @ self.model.output_DD
        at_C = torch.from_numpy(np.searchsorted(rows_U, columns.items_C)).to(self.device)
        logits_PC = users_PD @ items_UD[at_C].T
        if config.popularity_offset:
            offset_C = torch.from_numpy(popularity.log_share_I[columns.items_C])
            logits_PC = logits_PC + offset_C.to(self.device)
        if config.loss == "softmax":
            loss = softmax_loss(logits_PC, columns)
        else:
            loss = gbce_loss(logits_PC, columns, self.items)
        torch.autograd.backward(loss)
        self.adam.clip(config.clip)
        self.adam.step(config.rate * min(1.0, (self.adam.steps + 1) / max(1, config.warmup)))
        return float(loss.detach())

    def _mask_seen(self, score_BI: Tensor, sequences: Sequences, part: Windows) -> None:
        start_N = sequences.starts_S[sequences.user_N[part.begin_W]]
        for line, (start, end) in enumerate(zip(start_N, part.end_W - 1, strict=True)):
            score_BI[
                line, torch.from_numpy(sequences.rows_N[start:end].astype(np.int64))
            ] = -torch.inf


def hold_out(sequences: Sequences, config: PretrainConfig) -> NDArray[np.bool_]:
    """Which events validate."""
    held_N = np.zeros(len(sequences.rows_N), np.bool_)
    if config.holdout == "last":
        long = sequences.ends_S - sequences.starts_S > 1
        held_N[sequences.ends_S[long] - 1] = True
    elif len(held_N):
        last = max(1, int(len(held_N) * config.valid_share))
        held_N |= sequences.ts_N > np.sort(sequences.ts_N)[-last - 1 if last < len(held_N) else 0]
    return held_N


def cut(
    sequences: Sequences, windows: Windows, device: torch.device
) -> tuple[Steps, NDArray[np.int32], NDArray[np.bool_]]:
    """Windows as the transformer reads them, what came next at each step, and which are real."""
    length_B = windows.end_W - windows.begin_W - 1
    step_T = np.arange(max(1, int(length_B.max(initial=1))))
    real_BT = step_T < length_B[:, None]
    at_BT = np.where(real_BT, windows.begin_W[:, None] + step_T, windows.end_W[:, None] - 2)
    at_BT = np.maximum(at_BT, 0)
    steps = Steps.aligned(
        np.where(real_BT, sequences.rows_N[at_BT], -1),
        sequences.kinds_N[at_BT],
        sequences.ts_N[at_BT],
        sequences.ts_N[at_BT + 1],
        sequences.ratings_N[at_BT],
        length_B,
        device,
    )
    return steps, sequences.rows_N[at_BT + 1], real_BT


@contextlib.contextmanager
def _teaching(model: Behaviour, dropout: float) -> Iterator[None]:
    """The base learns, the adapters are off, and values drop out; afterwards all is as before."""
    wanted = {name: p.requires_grad for name, p in model.named_parameters()}
    body = model.body.get_base_model()

    def drop(_: nn.Module, __: object, out: Tensor) -> Tensor:
        return nn.functional.dropout(out, dropout)

    hooks = []
    for layer in body.layers if dropout else ():
        hooks += [layer.mlp.register_forward_hook(drop)]
        hooks += [layer.self_attn.o_proj.register_forward_hook(drop)]
    try:
        with model.body.disable_adapter():
            for name, parameter in model.named_parameters():
                parameter.requires_grad_("lora_" not in name)
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted[name])


def pretrain(
    model: Behaviour,
    residuals: Residuals,
    text_IE: Tensor | None,
    sequences: Sequences,
    item_ids: list[str],
    config: PretrainConfig,
    *,
    progress: Progress = lambda moment: None,
    after_epoch: Callable[[Pretraining, Epoch], None] = lambda pretraining, epoch: None,
    resume: Mapping[str, Tensor] | None = None,
) -> PretrainReport:
    """Train a model and its items on a log, in place, to the best validation.

    The same as `Pretraining`, epoch by epoch to its end.
    """
    pretraining = Pretraining(model, residuals, text_IE, sequences, item_ids, config)
    while not pretraining.over:
        after_epoch(pretraining, pretraining.epoch(progress))
    return pretraining.finish()
