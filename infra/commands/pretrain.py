"""`pretrain`: a recorded log becomes a base that a learner starts from."""

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
  tidemill pretrain events.parquet -o bases/shop
  tidemill pretrain path/to/ml-100k -o bases/movies --history 0.7 --epochs 50 --json
  tidemill pretrain events.parquet -o bases/shop --meta
  tidemill up --set learner.model.base=bases/shop --set learner.meta.few=6"""
)
@click.argument("history", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the base.",
)
@settings_options()
@click.option(
    "--loss",
    type=click.Choice(["softmax", "gbce"]),
    help="Sampled softmax with logQ correction, or gBCE.  [softmax]",
)
@training_options
@click.option("--meta", is_flag=True, help="Learn from its users' first events for newcomers, too.")
def pretrain(
    history: Path,
    folder: Path,
    settings: Settings,
    *,
    share: float,
    resume: bool,
    meta: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Train transformer and item vectors on the log at HISTORY, to the best validation.

    The folder is a Hugging Face model with our heads beside it; `learner.model.base` names it. Each
    epoch is kept in its `epochs` folder: a run that was stopped goes on from there.
    """
    import msgspec

    from infra import pretraining_run
    from learner.config import LearnerConfig
    from learner.pretraining_config import PretrainConfig
    from stream.errors import SettingsError
    from stream.events import json_encode
    from stream.formats import open_log

    learner = settings.section(LearnerConfig)
    given = {name: value for name, value in chosen.items() if value is not None}
    given.setdefault("seed", learner.seed)
    config = msgspec.structs.replace(
        PretrainConfig(), steps=learner.model.transformer_steps, **given
    )
    log = open_log(history)
    with pretraining_run.progress_bar(config.epochs) as bar:
        try:
            report = pretraining_run.pretrain_log(
                log, folder, learner, config, share=share, resume=resume, bar=bar, meta=meta
            )
        except ValueError as error:
            raise SettingsError(str(error)) from error
        except KeyboardInterrupt:
            bar.stopped(folder)
            raise
    best = report.epochs[report.best - 1]
    click.echo(
        f"{folder}: {report.items} items, best of {len(report.epochs)} epochs is {best.number} "
        f"(NDCG@10 {best.ndcg10:.4f}, HR@10 {best.hr10:.4f}), {report.seconds:.0f} s\n"
        f"use it with: tidemill up --set learner.model.base={folder}"
    )
    if as_json:
        figures = {"data": log.name, "base": str(folder)} | msgspec.to_builtins(report)
        click.echo(json_encode(figures))
