"""A pretraining that survives: each epoch is kept on disk, and the next run goes on from there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from learner.behaviour import Behaviour
from learner.pretraining import Pretraining, pretrain
from learner.pretraining_config import Epoch, PretrainConfig, PretrainReport, Progress
from learner.sequences import Sequences
from learner.snapshot import Snapshots
from learner.teacher import Teacher
from learner.tower import Residuals

KEPT = 2
"""Epochs kept: should the newest be damaged, the one before it is as good as new."""


def pretrain_kept(
    folder: Path,
    model: Behaviour,
    residuals: Residuals,
    text_IE: Tensor | None,
    sequences: Sequences,
    *,
    config: PretrainConfig,
    item_ids: Sequence[str],
    teacher: Teacher | None = None,
    resume: bool = True,
    progress: Progress = lambda moment: None,
    after_epoch: Callable[[Pretraining, Epoch], None] = lambda pretraining, epoch: None,
) -> PretrainReport:
    """Pretrain as `learner.pretraining.pretrain` does, with a snapshot of each epoch in a folder.

    A run that was stopped, however it was, goes on from its last whole epoch and ends with the
    same weights. Without `resume`, what is kept there is removed first.

    Raises
    ------
    ValueError
        If the folder keeps epochs of another log, model or configuration.
    """
    kept = Snapshots(folder, keep=KEPT)
    if not resume and folder.exists():
        shutil.rmtree(folder)

    def keep(pretraining: Pretraining, epoch: Epoch) -> None:
        kept.write(epoch.number, pretraining.state())
        after_epoch(pretraining, epoch)

    return pretrain(
        model,
        residuals,
        text_IE,
        sequences,
        config,
        item_ids=item_ids,
        teacher=teacher,
        progress=progress,
        after_epoch=keep,
        resume=kept.newest(),
    )
