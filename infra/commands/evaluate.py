"""`evaluate`: every model plays a recorded log, and a table says which recommends best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from infra.commands.options import settings_options

if TYPE_CHECKING:
    from infra.settings import Settings


@click.command(
    epilog="""\b
Examples:
  tidemill evaluate path/to/ml-100k --stream-max 5000
  tidemill evaluate events.parquet --models popularity,blend,online --seeds 1 --json
  tidemill evaluate events.jsonl.gz --last 150000 --plot ndcg.svg"""
)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@settings_options()
@click.option(
    "--models",
    metavar="A,B,…",
    help="Some rows; all but newcomers, uncleaned and trusting without it.",
)
@click.option(
    "--history",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.7,
    show_default=True,
    help="First share of the log: learnt, not counted.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 65_536),
    default=256,
    show_default=True,
    help="Events ranked together, then learnt together.",
)
@click.option("--stream-max", type=click.IntRange(min=1), help="Count only so many events.")
@click.option("--last", type=click.IntRange(min=2), help="Take only the last events of the log.")
@click.option(
    "--repeat/--no-repeat",
    default=None,
    help="Rank what a user had, or don't.  [as the history has it]",
)
@click.option(
    "--histories",
    type=click.Choice(["auto", "event", "instant"]),
    default="auto",
    show_default=True,
    help="A user's past reaches up to the event or, in logs of days and invoices, the instant.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Runs of each row that draws numbers.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON line.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw NDCG@10 over time (.png, .svg).",
)
def evaluate(
    path: Path,
    settings: Settings,
    *,
    models: str | None,
    last: int | None,
    seeds: int,
    as_json: bool,
    picture: Path | None,
    histories: Literal["auto", "event", "instant"],
    **cut: Any,
) -> None:
    """Rank each event of the log at PATH before learning it; compare the learner with baselines.

    Needs no Kafka. The learner is the object that `tidemill up` runs, with the same settings.
    """
    import torch
    from rich.console import Console

    from infra import evaluation_run, evaluation_view
    from learner.config import LearnerConfig
    from learner.drift_river import default_detectors
    from learner.evaluation_log import Protocol
    from learner.prequential import ON_DEMAND, ROWS
    from learner.prequential import evaluate as play
    from stream.errors import SettingsError
    from stream.formats import open_log

    rows = tuple(name.strip() for name in models.split(",")) if models else ROWS
    if strange := [name for name in rows if name not in ON_DEMAND]:
        names = ", ".join(ON_DEMAND)
        message = f"--models: no row called {', '.join(strange)}; choose from {names}"
        raise SettingsError(message)
    config = settings.section(LearnerConfig)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    log = open_log(path)
    with evaluation_run.progress_bar() as progress:
        events = evaluation_run.load_events(log, last)
        catalog = evaluation_run.load_catalogue(log, events, config, progress=progress)
        try:
            found = play(
                events,
                catalog,
                rows,
                protocol=Protocol(histories=histories, **cut),
                config=config,
                seeds=seeds,
                detectors=default_detectors,
                progress=progress,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from error
    console = Console()
    console.width = max(console.width, 150) if not console.is_terminal else console.width
    console.print(evaluation_view.table(found, log.name))
    if picture is not None:
        evaluation_view.plot(found, log.name, picture)
    if as_json:
        click.echo(evaluation_view.figures(found, log.name))
