"""`search`: ask a shop as a shopper would, and see what shoppers ask for in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from infra.commands.options import checked_tenant, settings_options, tenant_option

if TYPE_CHECKING:
    from infra.settings import Settings
    from stream.events import Recommendation

SORTS = ("relevance", "price", "price_down", "newest")


class QueryFirst(click.Group):
    """A group whose first word is a query, unless it names a command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Let what is no command be looked for."""
        named = bool(args) and args[0] in self.commands
        return super().resolve_command(ctx, args if named else ["find", *args])


@click.group(
    cls=QueryFirst,
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  tidemill search "green tea" --user ada --explain
  tidemill search find misses      look for the word itself
  tidemill search misses""",
)
def search() -> None:
    """Search the catalogue as a shopper would; all options are those of `search find`."""


@search.command(
    epilog="""\b
Examples:
  tidemill search "green tea"
  tidemill search tea pot --user ada --explain
  tidemill search pot --brand Acme --price-max 40 --sort price --facets
  tidemill search --suggest "gre" """
)
@click.argument("words", nargs=-1, required=True, metavar="QUERY")
@settings_options("bootstrap_servers", "prefix")
@tenant_option
@click.option("--user", "user_id", default="", help="Who asks; nobody known without it.")
@click.option("-k", type=click.IntRange(1, 200), default=10, show_default=True, help="Items.")
@click.option("--offset", type=click.IntRange(0, 2_000), default=0, help="Items to pass over.")
@click.option("--sort", type=click.Choice(SORTS), default="relevance", show_default=True)
@click.option("--category", help="A category, or its path: `Kitchen > Tea`.")
@click.option("--brand", help="Items of this brand.")
@click.option("--price-min", type=float, help="The lowest price.")
@click.option("--price-max", type=float, help="The highest price.")
@click.option("--sold-out", is_flag=True, help="Also what can't be had now.")
@click.option("--facets", is_flag=True, help="Count categories and brands.")
@click.option("--suggest", is_flag=True, help="Complete the query instead.")
@click.option("--explain", is_flag=True, help="Say what put each item where it is.")
@click.option("--timeout", default=20.0, show_default=True, help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
def find(  # noqa: PLR0913, PLR0917 - one per option
    words: tuple[str, ...],
    settings: Settings,
    tenant: str,
    user_id: str,
    k: int,
    offset: int,
    sort: str,
    category: str | None,
    brand: str | None,
    price_min: float | None,
    price_max: float | None,
    sold_out: bool,
    facets: bool,
    suggest: bool,
    explain: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Look for QUERY in the running shop."""
    import msgspec

    from infra.search import request_for
    from infra.search import search as ask
    from stream.connect import KafkaConfig

    filters = {
        "category": category,
        "brand": brand,
        "price_min": price_min,
        "price_max": price_max,
        "available": not sold_out,
    }
    request = request_for(
        " ".join(words),
        user_id,
        checked_tenant(settings, tenant),
        k=k,
        offset=offset,
        sort=sort,
        filters=filters,
        facets=facets,
        suggest=suggest,
        explain=explain,
    )
    answer = ask(settings.section(KafkaConfig), request, timeout)
    click.echo(
        msgspec.json.encode(answer).decode() if as_json else "\n".join(lines(answer, offset))
    )


@search.command(
    epilog="""\b
Examples:
  tidemill search misses
  tidemill search misses --newest 100 --json"""
)
@settings_options("bootstrap_servers", "prefix")
@tenant_option
@click.option(
    "--newest", type=click.IntRange(min=1), default=20, show_default=True, help="Show so many."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per query.")
def misses(settings: Settings, tenant: str, newest: int, as_json: bool) -> None:
    """List what shoppers looked for and nothing was found, the most frequent first.

    As long as the topic `recommendations` remembers; who asked isn't told.
    """
    import msgspec

    from infra.logs import escaped
    from infra.search import misses as missed
    from stream.connect import KafkaConfig

    found = missed(settings.section(KafkaConfig), newest, checked_tenant(settings, tenant))
    for one in found:
        as_text = escaped(f"{one.times:6}  {one.query}")
        click.echo(msgspec.json.encode(one).decode() if as_json else as_text)
    if not found:
        click.echo("every query found something", err=True)


def lines(answer: Recommendation, offset: int = 0) -> list[str]:
    """An answer as it is printed."""
    import msgspec

    from infra.logs import escaped

    said = []
    search = answer.search
    if isinstance(search, msgspec.Struct):
        if search.suggestions:
            return [escaped(phrase) for phrase in search.suggestions]
        other = f" (for {search.corrected_from!r})" if search.corrected_from else ""
        said.append(f"{search.query!r}{other}: {search.total} found")
    for place, item in enumerate(answer.items, offset + 1):
        said.append(f"{place:3}. {item.item_id}  {item.title}  [{item.reason}]")
        if isinstance(search, msgspec.Struct) and search.described:
            described = search.described[place - offset - 1]
            said.append(
                "     " + ", ".join(f"{name} {value:g}" for name, value in described.items())
            )
    if isinstance(search, msgspec.Struct):
        if search.weights:
            weights = ", ".join(f"{name} {value:g}" for name, value in search.weights.items())
            said.append(f"what counts: {weights}")
        for name, values in search.facets.items():
            counts = ", ".join(f"{one.value} ({one.count})" for one in values)
            said.append(f"{name}: {counts}")
    return [escaped(line) for line in said]
