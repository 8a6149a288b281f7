"""`reviews`: what the reader of reviews is unsure of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from infra.commands.options import settings_options

if TYPE_CHECKING:
    from infra.settings import Settings


@click.group("reviews", epilog="Example: tidemill reviews uncertain --newest 50 --json")
def reviews() -> None:
    """See what was made of reviews."""


@reviews.command(
    epilog="""\b
Examples:
  tidemill reviews uncertain
  tidemill reviews uncertain --newest 100 --json > to-label.jsonl"""
)
@settings_options("bootstrap_servers", "prefix")
@click.option(
    "--newest", type=click.IntRange(min=1), default=20, show_default=True, help="Show so many."
)
@click.option("--rated", is_flag=True, help="Also those that have stars already.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per review.")
def uncertain(settings: Settings, newest: int, rated: bool, as_json: bool) -> None:
    """List the reviews whose label would teach most: the reader doubts them.

    To teach it, send the review again with a `rating` and an `event_id` of its own.
    """
    import msgspec

    from infra.logs import escaped
    from infra.reviews import doubted
    from stream.connect import KafkaConfig

    found = doubted(settings.section(KafkaConfig), newest, rated)
    for one in found:
        if as_json:
            click.echo(msgspec.json.encode(one).decode())
            continue
        stars = "no stars" if one.stars is None else f"{one.stars:g} stars"
        reads = f"reads like {one.rating:.1f}, {one.sentiment}"
        item = f"{one.item_id} of {one.tenant}" if one.tenant else one.item_id
        click.echo(escaped(f"doubt {one.doubt:.2f}  {item}  {stars}, {reads}: {one.text}"))
    if not found:
        click.echo("no review without stars has been read yet; --rated shows the others", err=True)
