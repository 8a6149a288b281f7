"""`export aggregates`: counts of users by category, with noise that hides each of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from infra.commands.options import checked_tenant, settings_options, tenant_option

if TYPE_CHECKING:
    from infra.settings import Settings
    from stream.events import Kind

KINDS = ("view", "click", "cart", "purchase", "review")


@click.command(epilog="Example: tidemill export aggregates --epsilon 1 -o categories.parquet")
@settings_options("bootstrap_servers", "prefix")
@click.option(
    "--epsilon",
    type=click.FloatRange(0, 10, min_open=True),
    required=True,
    help="What may be learnt of one user at most: less is more private, and noisier.",
)
@click.option(
    "--per-user",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Categories of one user that count: more is noisier.",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    default=("purchase",),
    show_default=True,
    help="Which events count.",
)
@tenant_option
@click.option(
    "-o", "--output", "path", required=True, metavar="FILE", type=click.Path(path_type=Path)
)
def aggregates(  # noqa: PLR0917 - one per option
    settings: Settings,
    epsilon: float,
    per_user: int,
    kinds: tuple[str, ...],
    tenant: str,
    path: Path,
) -> None:
    """Write how many users did something in each category, give or take.

    FILE is parquet; its metadata say the epsilon, the noise's scale and what counts. Users who have
    opted out or are to be forgotten don't count. Each export spends its epsilon anew.
    """
    from infra.aggregates import LIBRARY, SEPARATOR, OpenDpNoise, told_by_users, write
    from infra.aggregates import aggregates as counted
    from infra.export_source import from_topics, items_of
    from learner.config import LearnerConfig
    from stream.connect import KafkaConfig

    checked_tenant(settings, tenant)
    noise = OpenDpNoise(epsilon, per_user)
    kafka = settings.section(KafkaConfig)
    source = from_topics(kafka, tenant, settings.section(LearnerConfig).encoder.width)
    category_of = {
        item.item_id: SEPARATOR.join(item.category)
        for item in items_of(source.catalog)
        if item.category
    }
    told = told_by_users(
        (event for _, event in source.events),
        category_of,
        frozenset(cast("tuple[Kind, ...]", kinds)),
        per_user,
    )
    rows = counted(told, list(category_of.values()), noise)
    facts = {
        "epsilon": f"{noise.epsilon:g}",
        "scale": f"{per_user / epsilon:g}",
        "per_user": str(per_user),
        "kinds": ",".join(kinds),
        "library": LIBRARY,
    }
    write(rows, path, facts)
    click.echo(f"{path}: {len(rows):,} categories, epsilon {noise.epsilon:g}")
