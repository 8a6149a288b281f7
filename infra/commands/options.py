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
