"""`up`, `demo` and `worker`: the commands that run things."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.commands.options import settings_options

if TYPE_CHECKING:
    from infra.settings import Settings
    from infra.supervise import Supervisor

LOOK_S = 0.5
"""Pause between two looks at a stack that runs: how late its end is noticed."""


@click.command(
    epilog="""\b
Examples:
  tidemill up
  tidemill up --port 19092 --data-dir /var/lib/tidemill
  tidemill up --bootstrap-servers kafka1:9092,kafka2:9092 --set kafka.replication=3"""
)
@settings_options("data_dir", "port", "bootstrap_servers")
@click.option("--fresh", is_flag=True, help="Start anew: remove what is in the data folder.")
def up(settings: Settings, *, fresh: bool) -> None:
    """Run the whole stack for your own producers: Kafka and all roles, until Ctrl-C."""
    from infra.config import RunConfig
    from infra.logs import configure_logging
    from infra.supervise import Supervisor

    run = settings.section(RunConfig)
    configure_logging("supervisor", run.log_level, as_json=run.log_json)
    told = _Signals()
    stack = Supervisor(
        settings, embedded=not _has_broker(settings), fresh=fresh, say=_say, asked=told.stop
    )
    told.hurry = stack.hurry
    try:
        stack.start()
        if not told.stop.is_set():
            _show(stack)
        while not told.stop.wait(LOOK_S):
            stack.check()
    finally:
        stack.stop()
    if told.number == signal.SIGINT:
        raise KeyboardInterrupt


@click.command(
    epilog="""\b
Examples:
  tidemill demo
  tidemill demo --events 3000 --json
  tidemill demo --language zh
  tidemill demo --log path/to/recorded/log --events 20000"""
)
@settings_options("data_dir", "port", "bootstrap_servers")
@click.option("--events", type=click.IntRange(min=1), help="End after so many events.")
@click.option(
    "--log",
    type=click.Path(exists=True, path_type=Path),
    help="Play this recorded log instead of the simulated shop.",
)
@click.option(
    "--rate", "rate_per_s", type=click.FloatRange(min=0, min_open=True), help="Events per second."
)
@click.option("--seed", type=int, default=7, show_default=True, help="Of the simulated shop.")
@click.option(
    "--language",
    type=click.Choice(["en", "zh"]),
    default="en",
    show_default=True,
    help="Of the simulated shop's texts: what happens in it is the same in each.",
)
@click.option(
    "--season-at",
    type=click.IntRange(min=1),
    help="Events after which most shoppers of the simulated shop want something else.",
)
@click.option("--fresh", is_flag=True, help="Start anew: remove what is in the data folder.")
@click.option("--json", is_flag=True, help="Print the figures as one JSON line.")
@click.option(
    "--picture", type=click.Path(dir_okay=False, path_type=Path), help="Save the screen as SVG."
)
def demo(settings: Settings, **options: Any) -> None:
    """Run the whole stack with a shop: simulated, or a recorded log."""
    from infra.config import RunConfig
    from infra.demo.command import DemoOptions, run
    from infra.logs import configure_logging

    config = settings.section(RunConfig)
    configure_logging("demo", config.log_level, as_json=config.log_json)
    embedded = not _has_broker(settings)
    code = run(DemoOptions(settings=settings, embedded=embedded, **options))
    if code:
        sys.exit(code)


@click.command(
    epilog="""\b
Examples:
  tidemill worker learner --bootstrap-servers kafka:9092
  tidemill worker ingest+profile --set stream.instance=ingest-0"""
)
@click.argument("role")
@settings_options("data_dir", "bootstrap_servers", "prefix")
def worker(role: str, settings: Settings) -> None:
    """Run one ROLE as one process: ingest+profile, learner or serving."""
    from infra.wiring import run_role

    code = run_role(role, settings)
    if code:
        sys.exit(code)


class _Signals:
    """SIGTERM and Ctrl-C ask for a stop, a second one for a quick one."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.number = 0
        self.hurry: Callable[[], None] = lambda: None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told)

    def _told(self, number: int, _frame: object) -> None:
        if self.stop.is_set():
            self.hurry()
        self.number = number
        self.stop.set()


def _has_broker(settings: Settings) -> bool:
    """Whether somebody named a cluster to use instead of one of our own."""
    from infra.settings import DEFAULT

    return settings.origin("kafka.bootstrap_servers") != DEFAULT


def _say(text: str) -> None:
    click.echo(text)


def _show(stack: Supervisor) -> None:
    from infra.config import RunConfig

    kafka = stack.kafka
    click.echo(f"\nKafka    {kafka.bootstrap_servers}  (topics {kafka.topic_prefix}*)")
    for role in stack.status():
        click.echo(f"{role.name:<16} {role.state:<8} pid {role.pid}  metrics {role.metrics_url}")
    click.echo(f"{'supervisor':<16} {'ready':<8} metrics {stack.metrics_url}")
    folder = Path(stack.settings.section(RunConfig).data_dir)
    click.echo(f"logs     {folder / 'logs'}\nCtrl-C stops everything, in order.\n")
