"""From a base and a log to a smaller base on disk that agrees with it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from infra.pretraining_run import EPOCHS, Bar, prepare
from learner.base import save_base
from learner.behaviour import Behaviour
from learner.config import LearnerConfig
from learner.device import pick_device
from learner.meta.trained import FILE
from learner.pretraining_config import DistillConfig, PretrainConfig, PretrainReport
from learner.pretraining_kept import pretrain_kept
from learner.teacher import Teacher, body_parameters
from learner.tower import Residuals
from stream.errors import SettingsError
from stream.formats import Log


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of a student; 0 is a quarter of the teacher's width."""

    width: int = 0
    layers: int = 1
    heads: int = 2


class DistillReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a student came to, beside its teacher on the same events."""

    student: PretrainReport
    teacher_ndcg10: float
    width: int
    parameters: float
    """Of its transformer and output head, as a share of the teacher's: embeddings aside."""

    @property
    def kept(self) -> float:
        """Its NDCG@10 as a share of the teacher's."""
        return self.student.ndcg10 / max(self.teacher_ndcg10, 1e-9)


def distill_log(
    log: Log,
    base: Path,
    folder: Path,
    learner: LearnerConfig,
    *,
    config: PretrainConfig,
    distill: DistillConfig,
    shape: Shape,
    share: float,
    resume: bool,
    bar: Bar,
) -> DistillReport:
    """Teach a student on the first share of a log, and write it as a base.

    Raises
    ------
    SettingsError
        If the teacher can't be read, or the student's heads don't fit its width.
    ValueError
        As in `infra.pretraining_run.pretrain_log`.
    """
    # 1. The teacher, and a student that reads as far back.
    prepared = prepare(log, learner, share, bar)
    device = pick_device(learner.device)
    teacher = Teacher(base, prepared.text_IE, prepared.ids, device, bar.asked)
    width = shape.width or max(8, teacher.model.width // 4)
    if width % (2 * shape.heads):
        message = f"a width of {width} can't be shared by {shape.heads} heads: two values each"
        raise SettingsError(message)
    model = msgspec.structs.replace(
        learner.model,
        base="",
        width=width,
        layers=shape.layers,
        heads=shape.heads,
        transformer_steps=teacher.about.steps,
    )
    student = Behaviour(model, prepared.text_width, config.seed).to(device)
    config = msgspec.structs.replace(
        config,
        steps=teacher.about.steps,
        distill=msgspec.structs.replace(distill, teacher=teacher.sha256),
    )

    # 2. What it learns.
    residuals = Residuals(student.width)
    report = pretrain_kept(
        folder / EPOCHS,
        student,
        residuals,
        prepared.text_IE,
        prepared.sequences,
        config=config,
        item_ids=prepared.ids,
        teacher=teacher,
        resume=resume,
        progress=bar.moment,
        after_epoch=bar.epoch,
    )

    # 3. Both, side by side.
    found = DistillReport(
        student=report,
        teacher_ndcg10=teacher.ndcg10(prepared.sequences, config),
        width=student.width,
        parameters=body_parameters(student) / teacher.parameters(),
    )
    figures = msgspec.to_builtins(report) | {"data": log.name, "events": prepared.events}
    figures |= {"config": msgspec.to_builtins(config), "teacher_ndcg10": found.teacher_ndcg10}
    # What is learnt of users' first events depends on texts alone: it is the student's as well.
    beside = {FILE: (base / FILE).read_bytes()} if (base / FILE).exists() else {}
    save_base(
        folder,
        student,
        residuals,
        prepared.ids,
        steps=config.steps,
        encoder=prepared.encoder,
        figures=figures,
        beside=beside,
    )
    return found
