"""Pretraining: the whole transformer and every item's vector learn a recorded log, many times over.

Legend: `E` width of text vectors, `I` catalogue rows, `N` events.

Every step of every window is a position that has to say what came next. A logit is what it is
online (`learner.behaviour_step`): user times tower, on top of log-popularity unless that is turned
off. Afterwards the base is frozen again, and what follows the stream are adapters and heads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.behaviour import Behaviour
from learner.optim_dense import DenseAdam
from learner.pretraining_config import Epoch, Moment, PretrainConfig, PretrainReport, Progress
from learner.pretraining_objective import Objective
from learner.pretraining_split import split
from learner.pretraining_student import ITEMS, Student, offset_of
from learner.ranking_metrics import gains
from learner.sequences import Sequences, Windows, shuffled, windows_of
from learner.snapshot import Saved
from learner.teacher import Teacher
from learner.tower import Residuals

TOP = 10

ONLINE_BATCH = 256.0
"""Examples of a step online, over which a gradient is a mean: fewer than the positions here."""


class Pretraining:
    """A pretraining under way: epoch by epoch, and its state can be kept and restored between.

    Parameters
    ----------
    model
        Trained in place.
    residuals
        Where item vectors end up; items that have some already start from them.
    text_IE
        Text vectors by row, `None` without any text.
    sequences
        The log.
    config
        Every number.
    item_ids
        Every row's id: a new vector depends on it.
    teacher
        Whom the model is to agree with, as `config.distill` says.

    Raises
    ------
    ValueError
        If there is nothing to learn, or nothing to validate on.
    """

    def __init__(
        self,
        model: Behaviour,
        residuals: Residuals,
        text_IE: Tensor | None,
        sequences: Sequences,
        config: PretrainConfig,
        *,
        item_ids: Sequence[str],
        teacher: Teacher | None = None,
    ) -> None:
        self.residuals, self.config = residuals, config
        self.sequences, self.items = sequences, len(item_ids)
        self.epochs: list[Epoch] = []

        # 1. What is held out, and what is learnt.
        self.train, self.popularity, self.valid = split(sequences, self.items, config)
        self.windows = windows_of(self.train, config.steps)
        if not len(self.windows) or not len(self.valid):
            what = "learn" if not len(self.windows) else "validate on"
            message = (
                f"nothing to {what}: of {len(sequences.rows_N)} events of {len(sequences)} users, "
                f"{len(self.valid)} that follow another one are held out by `holdout` "
                f"{config.holdout!r} and {self.windows.positions()} are left; give a longer log or "
                "the other holdout"
            )
            raise ValueError(message)

        # 2. Who learns, and from whom.
        lists = None
        if teacher is not None and config.distill is not None:
            if config.distill.start:
                teacher.begin(model, residuals, self.popularity)
            lists = teacher.lists(self.train, self.windows, self.popularity, config.distill)
        taken_I = self.popularity.share_I > 0
        self.student = Student(model, residuals, text_IE, taken_I, item_ids)
        self.objective = Objective(self.student, self.train, self.popularity, config, lists)
        self.adam = DenseAdam(self.student.parameters, config.decay)
        self.mean = {n: p.detach().clone() for n, p in self.student.parameters.items()}
        self.best: dict[str, Tensor] = {}

    @property
    def best_epoch(self) -> int:
        """The number of the epoch with the best validation; 0 before the first."""
        best = max(self.epochs, key=lambda e: (e.ndcg10, -e.number), default=None)
        return best.number if best else 0

    @property
    def over(self) -> bool:
        """Whether there is nothing more to gain."""
        done = len(self.epochs)
        return done >= self.config.epochs or done - self.best_epoch >= self.config.patience

    def epoch(self, progress: Progress = lambda moment: None) -> Epoch:
        """Go over the log once, then validate."""
        number, began = len(self.epochs) + 1, time.perf_counter()
        generator = np.random.default_rng((self.config.seed, number))
        total, done, summed = self.windows.positions(), 0, 0.0
        before = self.epochs[-1].ndcg10 if self.epochs else None
        with torch.random.fork_rng(devices=[]), self.student.learning(self.config.dropout):
            torch.manual_seed(self.config.seed * 1_000_003 + number)
            for part in shuffled(self.windows, self.config.batch, generator):
                summed += self._step(part, generator) * part.positions()
                done += part.positions()
                progress(Moment(number, done, total, summed / done, before))
        self._swap()
        rank_N = self.rank(self.sequences, self.valid)
        self._swap()
        epoch = Epoch(
            number=number,
            loss=summed / max(1, done),
            ndcg10=float(gains(rank_N).mean()) if len(rank_N) else 0.0,
            hr10=float((rank_N <= TOP).mean()) if len(rank_N) else 0.0,
            seconds=time.perf_counter() - began,
        )
        self.epochs.append(epoch)
        if self.best_epoch == number:
            self.best = {name: p.clone() for name, p in self.mean.items()}
        return epoch

    def rank(self, sequences: Sequences, windows: Windows) -> NDArray[np.float64]:
        """The rank of each window's last event among all items."""
        config = self.config
        offset_I = offset_of(
            self.popularity, np.arange(self.items), used=config.popularity_offset
        ).to(self.student.device)
        return self.student.rank(sequences, windows, offset_I, filter_seen=config.filter_seen)

    @torch.no_grad()
    def finish(self) -> PretrainReport:
        """Put the best weights in place, and every item's vector among the residuals."""
        for name, parameter in self.student.parameters.items():
            parameter.copy_(self.best.get(name, parameter))
        batch = self.windows.positions() / max(1, len(self.windows)) * self.config.batch
        squares = self.adam.squares(ITEMS) * (batch / ONLINE_BATCH) ** 2
        self.student.graduate(self.residuals, squares)
        best = self.best_epoch
        return PretrainReport(
            epochs=tuple(self.epochs),
            best=best,
            ndcg10=self.epochs[best - 1].ndcg10 if best else 0.0,
            hr10=self.epochs[best - 1].hr10 if best else 0.0,
            positions=self.windows.positions(),
            items=len(self.student.rows_N),
            seconds=sum(epoch.seconds for epoch in self.epochs),
        )

    def state(self) -> Saved:
        """All that goes on from here: weights, moments, the best weights, the epochs so far."""
        kept = {f"now/{name}": p for name, p in self.student.parameters.items()}
        kept |= {f"adam/{name}": p for name, p in self.adam.state().items()}
        kept |= {f"mean/{name}": p for name, p in self.mean.items()}
        kept |= {f"best/{name}": p for name, p in self.best.items()}
        arrays = {name: p.detach().cpu().numpy().copy() for name, p in kept.items()}
        config = msgspec.to_builtins(self.config)
        return Saved(arrays, {"epochs": msgspec.to_builtins(self.epochs), "config": config})

    @torch.no_grad()
    def restore(self, saved: Saved) -> None:
        """Go on from a state. Patience may differ, and epochs where no step size depends on them.

        Raises
        ------
        ValueError
            If the state is of another log, model or configuration.
        """
        config = msgspec.convert(saved.meta["config"], PretrainConfig)
        ours, theirs = _shaping(self.config), _shaping(config)
        for name, p in self.student.parameters.items():
            there = saved.arrays.get(f"now/{name}")
            if ours != theirs or there is None or there.shape != tuple(p.shape):
                what = f"`{name}`" if ours == theirs else "its options"
                message = (
                    f"the epochs kept there are of another log, model or configuration ({what} "
                    "differs): use --no-resume to begin anew, or another folder"
                )
                raise ValueError(message)
            p.copy_(torch.from_numpy(there))
        parts: dict[str, dict[str, Tensor]] = {"adam": {}, "best": {}, "mean": {}, "now": {}}
        for path, array in saved.arrays.items():
            part, _, name = path.partition("/")
            parts[part][name] = torch.from_numpy(array.copy()).to(self.student.device)
        self.adam.restore(parts["adam"])
        self.mean, self.best = parts["mean"], parts["best"]
        self.epochs = msgspec.convert(saved.meta["epochs"], list[Epoch])

    def _step(self, windows: Windows, generator: np.random.Generator) -> float:
        loss = self.objective.loss(windows, generator)
        torch.autograd.backward(loss)
        self.adam.clip(self.config.clip)
        self.adam.step(self._rate())
        decay = min(self.config.average, (1 + self.adam.steps) / (10 + self.adam.steps))
        for name, parameter in self.student.parameters.items():
            self.mean[name].lerp_(parameter.detach(), 1 - decay)
        return float(loss.detach())

    def _rate(self) -> float:
        config, steps = self.config, self.adam.steps
        rate = config.rate * min(1.0, (steps + 1) / max(1, config.warmup))
        if config.schedule == "linear":
            rate *= 1 - steps / (-(-len(self.windows) // config.batch) * config.epochs)
        return rate

    @torch.no_grad()
    def _swap(self) -> None:
        """Put the running means in the weights' place, and these in theirs."""
        for name, parameter in self.student.parameters.items():
            now = parameter.clone()
            parameter.copy_(self.mean[name])
            self.mean[name].copy_(now)


def _shaping(config: PretrainConfig) -> PretrainConfig:
    """A configuration without what decides only when to stop."""
    epochs = config.epochs if config.schedule == "linear" else 1
    return msgspec.structs.replace(config, epochs=epochs, patience=1)


def pretrain(
    model: Behaviour,
    residuals: Residuals,
    text_IE: Tensor | None,
    sequences: Sequences,
    config: PretrainConfig,
    *,
    item_ids: Sequence[str],
    teacher: Teacher | None = None,
    progress: Progress = lambda moment: None,
    after_epoch: Callable[[Pretraining, Epoch], None] = lambda pretraining, epoch: None,
    resume: Saved | None = None,
) -> PretrainReport:
    """Train a model and its items on a log, in place, to the best validation.

    The parameters are those of `Pretraining`; `after_epoch` may keep its `state`, from which
    `resume` goes on as if nothing had happened.
    """
    pretraining = Pretraining(
        model, residuals, text_IE, sequences, config, item_ids=item_ids, teacher=teacher
    )
    if resume is not None:
        pretraining.restore(resume)
    while not pretraining.over:
        after_epoch(pretraining, pretraining.epoch(progress))
    return pretraining.finish()
