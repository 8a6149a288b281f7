"""`ab`: what a running A/B test says, and which variant a user gets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from infra.commands.options import checked_tenant, settings_options, tenant_option

if TYPE_CHECKING:
    from infra.settings import Settings


@click.group(
    "ab",
    epilog="""\b
Examples:
  tidemill ab report
  tidemill ab who ada""",
)
def ab() -> None:
    """A/B tests: what variants earn, and who gets which."""


@ab.command(
    "report",
    epilog="""\b
Examples:
  tidemill ab report
  tidemill ab report --json""",
)
@settings_options("bootstrap_servers", "prefix")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line instead.")
def report(settings: Settings, *, as_json: bool) -> None:
    """Say what the variants of `ab.arms` earn; you may look at any time."""
    import msgspec
    from rich.console import Console

    from infra.ab_report import as_table, read_report, verdict

    found = read_report(settings, time.time_ns() // 1_000_000)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    Console().print(as_table(found))
    click.echo(verdict(found))


@ab.command(
    "who",
    epilog="""\b
Example:
  tidemill ab who ada grace""",
)
@settings_options()
@tenant_option
@click.argument("users", nargs=-1, required=True)
def who(settings: Settings, *, users: tuple[str, ...], tenant: str) -> None:
    """Say which variant users get."""
    from stream.tenants import inside
    from stream.variants import Assignment, VariantsConfig

    shop = checked_tenant(settings, tenant)
    dealt = Assignment(settings.section(VariantsConfig))
    for user in users:
        click.echo(f"{user}\t{dealt.name_of(inside(shop, user))}")
