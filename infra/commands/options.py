"""Options that several commands share, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from infra.settings import Settings

COMMAND_LINE = "command line"

_SHORTCUTS = {
    "data_dir": "run.data_dir",
    "bootstrap_servers": "kafka.bootstrap_servers",
    "prefix": "kafka.topic_prefix",
    "port": "broker.port",
}
"""Options that are a shorter way to write `--set`."""


tenant_option = click.option(
    "--tenant", default="", metavar="NAME", help="The shop whose it is, of `tenants.names`."
)
"""For commands about a user or an item of one shop; `checked_tenant` checks it."""


def checked_tenant(settings: Settings, tenant: str) -> str:
    """The tenant itself, if the settings name it.

    Raises
    ------
    click.BadParameter
        If they don't.
    """
    from stream.tenants import TenantsConfig

    known = settings.section(TenantsConfig).known
    if tenant and tenant not in known:
        names = ", ".join(sorted(known)) or "none is set"
        msg = f"{tenant!r} is not one of `tenants.names` ({names})"
        raise click.BadParameter(msg, param_hint="--tenant")
    return tenant


def settings_options(*shortcuts: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command `--config`, `--set` and some shortcuts; it receives `settings` instead."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_settings(**options: Any) -> Any:
            config, assignments = options.pop("config"), options.pop("assignments")
            chosen = {name: options.pop(name) for name in shortcuts}
            return command(settings=_load(config, assignments, chosen), **options)

        decorated: Callable[..., Any] = with_settings
        for name in reversed(shortcuts):
            decorated = _OPTIONS[name](decorated)
        for option in (_SET, _CONFIG):
            decorated = option(decorated)
        return decorated

    return decorate


def _load(config: Path | None, assignments: tuple[str, ...], chosen: dict[str, Any]) -> Settings:
    from infra.settings import Settings

    settings = Settings.load(config, None, assignments)
    given = {_SHORTCUTS[name]: value for name, value in chosen.items() if value is not None}
    return settings.with_values(given, COMMAND_LINE) if given else settings


_CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings file; `tidemill.toml` in this folder is read by itself.",
)
_SET = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change a setting; `tidemill settings` lists them.",
)
_OPTIONS: dict[str, Callable[..., Any]] = {
    "data_dir": click.option(
        "--data-dir", metavar="FOLDER", help="Records, states, models, logs.  [.tidemill]"
    ),
    "bootstrap_servers": click.option(
        "--bootstrap-servers", metavar="HOST:PORT", help="Use this Kafka cluster."
    ),
    "prefix": click.option("--prefix", help="Put before every topic's name.  [tidemill.]"),
    "port": click.option("--port", type=int, help="The embedded Kafka's port.  [9092; 0: free]"),
}

_TRAINING: tuple[Callable[..., Any], ...] = (
    click.option(
        "--history",
        "share",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="First share of the log that is used.",
    ),
    click.option("--epochs", type=click.IntRange(min=1), help="Passes over the log at most.  [30]"),
    click.option("--patience", type=click.IntRange(min=1), help="Epochs without a gain.  [5]"),
    click.option(
        "--negatives", type=click.IntRange(min=1), help="Sampled items per batch.  [1024]"
    ),
    click.option("--rate", type=click.FloatRange(0, 1, min_open=True), help="Step size.  [0.001]"),
    click.option(
        "--holdout",
        type=click.Choice(["time", "last"]),
        help="Validate on the log's last events, or on each user's last one.  [time]",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), help="Everything random follows from it.  [0]"
    ),
    click.option(
        "--resume/--no-resume",
        default=True,
        show_default=True,
        help="Go on from the epochs kept in the folder, or begin anew.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON line."),
)


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what every training on a recorded log can be told."""
    for option in reversed(_TRAINING):
        command = option(command)
    return command
