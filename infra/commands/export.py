"""`export`: features as of a time, and vectors of users and items, as parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.commands.aggregates import aggregates
from infra.commands.options import checked_tenant, settings_options, tenant_option

if TYPE_CHECKING:
    from infra.settings import Settings

_OUT = click.option(
    "-o", "--output", "folder", required=True, metavar="FOLDER", type=click.Path(path_type=Path)
)


@click.group(epilog="Example: tidemill export features --as-of 2026-03-01T00:00Z -o features")
def export() -> None:
    """Lend what is known to other algorithms: features, vectors."""


@export.command(
    name="features",
    epilog="""\b
Examples:
  tidemill export features --as-of 2026-03-01T00:00Z -o features
  tidemill export features --log events.parquet --for examples.parquet -o features""",
)
@settings_options("bootstrap_servers", "prefix")
@click.option("--as-of", "as_of", metavar="TIME", help="ISO 8601 with its zone, or milliseconds.")
@click.option(
    "--for",
    "wanted",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A parquet file with the columns user_id and as_of instead: a row for each.",
)
@click.option(
    "--log",
    "path",
    type=click.Path(exists=True, path_type=Path),
    help="A recorded log instead of what the topics hold.",
)
@tenant_option
@_OUT
def export_features_command(  # noqa: PLR0917 - one per option
    settings: Settings,
    as_of: str | None,
    wanted: Path | None,
    path: Path | None,
    tenant: str,
    folder: Path,
) -> None:
    """Write users' features as of a time, as they were known then.

    FOLDER/features.parquet has a row of each user but those who have opted out or are to be
    forgotten. FOLDER is a Feast repository with a registry of
    its own: `feast -c FOLDER feature-views list`.
    """
    from features.interest import InterestConfig
    from infra.export_features import FEATURES, export_features
    from infra.export_source import from_log, from_topics
    from learner.config import LearnerConfig
    from stream.connect import KafkaConfig
    from stream.errors import BadRecord, SettingsError
    from stream.formats import open_log
    from stream.parse_time import read_time_ms

    if (as_of is None) == (wanted is None):
        msg = "say as of when, or for what: one of --as-of TIME and --for FILE"
        raise SettingsError(msg)
    time_ms = None
    if as_of is not None:
        try:
            time_ms = read_time_ms(int(as_of) if as_of.isdecimal() else as_of)
        except BadRecord as error:
            raise click.BadParameter(str(error), param_hint="--as-of") from error
    learner = settings.section(LearnerConfig)
    checked_tenant(settings, tenant)
    if path is None:
        source = from_topics(settings.section(KafkaConfig), tenant, learner.encoder.width)
    else:
        source = from_log(open_log(path), learner)
    written = export_features(
        source, settings.section(InterestConfig), folder, as_of_ms=time_ms, wanted=wanted
    )
    click.echo(
        f"{folder / FEATURES}: {written.rows:,} rows, of {written.history:,} in the history of "
        f"{written.users:,} users"
    )


@export.command(name="vectors", epilog="Example: tidemill export vectors -o vectors")
@settings_options("bootstrap_servers", "prefix")
@tenant_option
@_OUT
def export_vectors_command(settings: Settings, tenant: str, folder: Path) -> None:
    """Write vectors of all items and users, but of those who have opted out or are to be forgotten.

    FOLDER/items.parquet and FOLDER/users.parquet: of texts and interests, and what the newest model
    version has learnt, whose files must be on this machine.
    """
    from infra.export_vectors import export_vectors
    from learner.config import LearnerConfig
    from stream.connect import KafkaConfig

    written = export_vectors(
        settings.section(KafkaConfig),
        settings.section(LearnerConfig),
        checked_tenant(settings, tenant),
        folder,
    )
    by = "no version yet" if written.version is None else f"version {written.version}"
    click.echo(f"{folder}: {written.items:,} items, {written.users:,} users, {by}")


export.add_command(aggregates)
