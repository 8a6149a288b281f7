"""`distill`: a base teaches a smaller one, which is served in its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.commands.options import settings_options, training_options

if TYPE_CHECKING:
    from infra.settings import Settings


@click.command(
    epilog="""\b
Examples:
  tidemill distill bases/shop --data events.parquet -o bases/small
  tidemill distill bases/shop --data events.parquet -o bases/small --width 48 --ranking 0.2 --json
  tidemill up --set learner.model.base=bases/small"""
)
@click.argument("base", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="The log, most sensibly the one that the base has learnt.",
)
@click.option(
    "-o",
    "--out",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the student.",
)
@settings_options()
@click.option("--width", type=click.IntRange(8, 1024), help="[a quarter of the teacher's]")
@click.option("--layers", type=click.IntRange(1, 24), default=1, show_default=True)
@click.option("--heads", type=click.IntRange(1, 16), default=2, show_default=True)
@click.option(
    "--alpha", type=click.FloatRange(min=0), help="Weight of KL(teacher || student).  [4]"
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 100, min_open=True),
    help="Softens both for the divergence.  [1]",
)
@click.option("--ranking", type=click.FloatRange(min=0), help="Weight of the teacher's order.  [0]")
@click.option("--listed", type=click.IntRange(1, 1000), help="Items of a soft list.  [50]")
@click.option(
    "--start/--no-start",
    default=True,
    show_default=True,
    help="Items start as the teacher's, in fewer dimensions.",
)
@training_options
def distill(
    base: Path,
    data: Path,
    folder: Path,
    settings: Settings,
    *,
    width: int | None,
    layers: int,
    heads: int,
    share: float,
    resume: bool,
    as_json: bool,
    start: bool,
    **chosen: Any,
) -> None:
    """Make a small base agree with BASE, on a log, so that it can be served in its place.

    The student learns what came next, as `tidemill pretrain` does, and beside it how BASE answers:
    its probabilities and, if asked for, its order. The folder is a base like any other.
    """
    import msgspec

    from infra import distill_run, pretraining_run
    from learner.config import LearnerConfig
    from learner.pretraining_config import DistillConfig, PretrainConfig
    from stream.errors import SettingsError
    from stream.events import json_encode
    from stream.formats import open_log

    learner = settings.section(LearnerConfig)
    given = {name: value for name, value in chosen.items() if value is not None}
    given.setdefault("seed", learner.seed)
    fields = {"alpha": "weight"} | {n: n for n in ("temperature", "ranking", "listed")}
    said = {field: given.pop(name) for name, field in fields.items() if name in given}
    teaching = msgspec.structs.replace(DistillConfig(), start=start, **said)
    config = msgspec.structs.replace(PretrainConfig(), **given)
    log = open_log(data)
    with pretraining_run.progress_bar(config.epochs) as bar:
        try:
            report = distill_run.distill_log(
                log,
                base,
                folder,
                learner,
                config=config,
                distill=teaching,
                shape=distill_run.Shape(width=width or 0, layers=layers, heads=heads),
                share=share,
                resume=resume,
                bar=bar,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from error
        except KeyboardInterrupt:
            bar.stopped(folder)
            raise
    student = report.student
    click.echo(
        f"{folder}: width {report.width}, best of {len(student.epochs)} epochs is {student.best} "
        f"(NDCG@10 {student.ndcg10:.4f}, HR@10 {student.hr10:.4f}), {student.seconds:.0f} s\n"
        f"keeps {report.kept:.1%} of the teacher's NDCG@10 ({report.teacher_ndcg10:.4f}) with "
        f"{report.parameters:.1%} of its parameters, embeddings aside\n"
        f"use it with: tidemill up --set learner.model.base={folder}"
    )
    if as_json:
        figures = {"data": log.name, "base": str(folder), "kept": report.kept}
        click.echo(json_encode(figures | msgspec.to_builtins(report)))
