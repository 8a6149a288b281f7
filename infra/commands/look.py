"""`settings` and `doctor`: the commands that only look."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from infra.commands.options import settings_options

if TYPE_CHECKING:
    from infra.settings import Settings


@click.command(
    epilog="""\b
Examples:
  tidemill settings
  tidemill settings kafka learner
  TIDEMILL_KAFKA_PARTITIONS=8 tidemill settings kafka --json"""
)
@click.argument("sections", nargs=-1)
@settings_options("data_dir", "bootstrap_servers")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def settings(sections: tuple[str, ...], settings: Settings, *, as_json: bool) -> None:
    """Show every setting, its value, and where that came from; or only of some SECTIONS."""
    from infra.settings import SECTIONS, known_section

    rows = settings.rows([known_section(name) for name in sections] or list(SECTIONS))
    if as_json:
        click.echo(json.dumps({row.path: {"value": row.value, "from": row.origin} for row in rows}))
        return
    width = max(len(row.path) for row in rows)
    for row in rows:
        click.echo(f"{row.path:<{width}}  {row.value or '(empty)'}  [{row.origin}]")
        click.echo(f"{'':<{width}}  {row.description}; {row.allowed}")


@click.command(
    epilog="""\b
Examples:
  tidemill doctor
  tidemill doctor --bootstrap-servers kafka:9092"""
)
@settings_options("data_dir", "port", "bootstrap_servers")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def doctor(settings: Settings, *, as_json: bool) -> None:
    """Check broker, Java, store, model, memory, disk, ports and clock; say what to do."""
    from infra.doctor import examine

    findings = []
    for finding in examine(settings):
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.verdict:<5} {finding.what:<13} {finding.found}")
            if finding.remedy:
                click.echo(f"{'':<19} → {finding.remedy}")
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings]))
    if any(finding.verdict == "wrong" for finding in findings):
        sys.exit(1)
