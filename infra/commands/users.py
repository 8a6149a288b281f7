"""`forget` and `user`: the commands about single users, to erase them and to see what is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.commands.options import checked_tenant, settings_options, tenant_option

if TYPE_CHECKING:
    from infra.settings import Settings


@click.command(
    epilog="""\b
Examples:
  tidemill forget ada bob
  tidemill forget --from-file leaving.txt --yes
  tidemill forget ada --tenant acme
  tidemill forget --yes          finish what was begun, or what is on the topic `forget`"""
)
@click.argument("user_ids", metavar="[USER]...", nargs=-1)
@settings_options("bootstrap_servers", "prefix")
@tenant_option
@click.option(
    "--from-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with one user id per line.",
)
@click.option(
    "--keep-records",
    is_flag=True,
    help="Leave clicks, purchases, events and so on to their topics' retention time.",
)
@click.option(
    "--ignore-group",
    "ignored",
    multiple=True,
    metavar="GROUP",
    help="A consumer group that isn't waited for.",
)
@click.option("--timeout", default=900.0, show_default=True, help="Seconds for everything.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def forget(  # noqa: PLR0913, PLR0917 - one per option
    user_ids: tuple[str, ...],
    settings: Settings,
    tenant: str,
    from_file: Path | None,
    keep_records: bool,
    ignored: tuple[str, ...],
    timeout: float,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase everything that is known of users, while Tidemill runs.

    The topics that carry records can only lose their oldest: what every consumer group has read
    goes, of all users. With --keep-records these topics are left alone, and a user's records stay
    in them until their retention time is over (7 days).
    """
    import msgspec

    from features.outcomes import OutcomesConfig
    from infra.forget import Forgetting, Options
    from stream.connect import KafkaConfig
    from stream.tenants import inside

    checked_tenant(settings, tenant)
    users = [*user_ids, *(_lines(from_file) if from_file else ())]
    for user_id in users:
        _check(user_id)
    options = Options(
        keep_records=keep_records,
        ignored_groups=frozenset(ignored),
        outcomes=settings.section(OutcomesConfig).on,
        timeout_s=timeout,
    )
    forgetting = Forgetting(settings.section(KafkaConfig), options, _report)
    if dry_run or not (yes or keep_records):
        for topic, count in forgetting.carried().items():
            kept = ", kept until its retention time" if keep_records else ""
            click.echo(f"{topic:<32} {count:>12,} records of all users{kept}")
        if dry_run:
            click.echo(f"{len(users):,} users would be forgotten; nothing was changed")
            return
        click.confirm(
            f"Forget {len(users):,} users, and remove these records once they are read?",
            abort=True,
        )
    outcome = forgetting.run([inside(tenant, user_id) for user_id in users])
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(outcome)))
    else:
        click.echo(f"{outcome.users:,} users are forgotten, {outcome.seconds:.0f} s")


@click.command(epilog="Example: tidemill user ada --export > ada.json")
@click.argument("user_id", metavar="ID")
@settings_options("data_dir", "bootstrap_servers", "prefix")
@tenant_option
@click.option("--export", "as_json", is_flag=True, help="Everything, as one JSON document.")
def user(user_id: str, settings: Settings, tenant: str, as_json: bool) -> None:
    """Show what is known of a user: state, features, records, dead letters."""
    from features.store_feast import FeastStore
    from infra.export import export_user, summary
    from infra.logs import escaped
    from infra.wiring import store_config
    from stream.clock import SystemClock
    from stream.connect import KafkaConfig
    from stream.tenants import inside

    _check(user_id)
    whole = inside(checked_tenant(settings, tenant), user_id)
    store = FeastStore(store_config(settings))
    try:
        known = export_user(whole, settings.section(KafkaConfig), store, SystemClock())
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(known, ensure_ascii=False, indent=2))
        return
    for line in summary(known):
        click.echo(escaped(line))


def _report(step: str, what: str) -> None:
    click.echo(f"{step:<32} {what}", err=True)


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line]


def _check(user_id: str) -> None:
    """Refuse before anything is sent what the roles would refuse."""
    from stream.batching import PlainRecord
    from stream.events import Forget, json_encode
    from stream.forget import parse_forget

    parse_forget(PlainRecord(None, json_encode(Forget(user_id=user_id)), 0))
