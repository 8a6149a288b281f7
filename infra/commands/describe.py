"""`describe`: a description of an item, drafted of what is known of it and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.commands.options import checked_tenant, settings_options, tenant_option

if TYPE_CHECKING:
    from infra.settings import Settings


@click.command(
    epilog="""\b
Examples:
  tidemill describe pot-1
  tidemill describe pot-1 --reason "popular now" --json
  tidemill describe pot-1 --item-file items.jsonl
  tidemill describe pot-1 --set learner.texts.model=DIR"""
)
@click.argument("item_id", metavar="ITEM")
@settings_options("bootstrap_servers", "prefix")
@tenant_option
@click.option(
    "--item-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the item from this file instead: JSON lines as they go to `items`.",
)
@click.option("--reason", default="", help="Why it is recommended, in the words of a reason.")
@click.option(
    "--sentences", type=click.IntRange(1, 20), default=3, show_default=True, help="At most so many."
)
@click.option("--check", metavar="TEXT", help="Say what of this text the facts don't support.")
@click.option("--json", "as_json", is_flag=True, help="With the facts, as one JSON object.")
def describe(
    item_id: str,
    settings: Settings,
    *,
    tenant: str,
    item_file: Path | None,
    reason: str,
    sentences: int,
    check: str | None,
    as_json: bool,
) -> None:
    """Draft a description of ITEM from its fields and from what its reviews agree on.

    Without a model (`learner.texts.model`) the fields are quoted. With one, only sentences are
    shown that the fields support. The topics `items` and `reviews` are read whole.
    """
    import msgspec

    from infra.describe import described, faults_of, read_facts, read_facts_from
    from infra.logs import escaped
    from learner.config import LearnerConfig
    from stream.connect import KafkaConfig
    from stream.tenants import TenantsConfig, inside

    config = settings.section(LearnerConfig)
    if item_file is not None:
        facts = read_facts_from(item_file, item_id, reason)
    else:
        whole = inside(checked_tenant(settings, tenant), item_id)
        known = settings.section(TenantsConfig).known
        kafka = settings.section(KafkaConfig)
        facts = read_facts(kafka, whole, reason, config.texts, known)
    if check is not None:
        found = faults_of(check, facts, config.texts)
        for fault in found:
            click.echo(escaped(f"{fault.kind:<8} {fault.what}"))
        if not found:
            click.echo("all of it is supported")
        return
    text = described(facts, sentences, config.texts, config.seed)
    if as_json:
        line = {"item_id": item_id, "text": text, "facts": facts}
        click.echo(msgspec.json.encode(line).decode())
    else:
        click.echo(escaped(text) or "nothing is known of this item but its id")
