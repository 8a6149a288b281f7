"""`topics` and `replay`: the commands that look at records or send them."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.commands.options import settings_options

if TYPE_CHECKING:
    from infra.settings import Settings


@click.group(epilog="Example: tidemill topics describe --bootstrap-servers localhost:9092")
def topics() -> None:
    """Create or describe the topics."""


@topics.command(epilog="Example: tidemill topics create --set kafka.partitions=16")
@settings_options("bootstrap_servers", "prefix")
def create(settings: Settings) -> None:
    """Create the topics that are missing; the others stay as they are."""
    from infra.topic_admin import create_topics
    from stream.connect import KafkaConfig

    kafka = settings.section(KafkaConfig)
    created = create_topics(kafka)
    for name in created:
        click.echo(f"created {name} with {kafka.partitions} partitions")
    if not created:
        click.echo(f"all topics {kafka.topic_prefix}* are there already")


@topics.command(epilog="Example: tidemill topics describe --prefix shop.")
@settings_options("bootstrap_servers", "prefix")
def describe(settings: Settings) -> None:
    """Show partitions, records, size, lag and policy of each topic."""
    from features.outcomes import OutcomesConfig
    from infra.lag import unread
    from infra.topic_admin import describe_topics
    from stream.connect import KafkaConfig

    kafka = settings.section(KafkaConfig)
    behind = unread(kafka, outcomes=settings.section(OutcomesConfig).on)
    line = "{:<28} {:>10} {:>12} {:>10} {:>10}  {:<8} {}"
    click.echo(line.format("topic", "partitions", "records", "MB", "unread", "policy", "holds"))
    for state in describe_topics(kafka):
        lag = behind.get(state.name.removeprefix(kafka.topic_prefix))
        click.echo(
            line.format(
                state.name,
                state.partitions,
                f"{state.records:,}",
                f"{state.bytes / 1e6:.1f}",
                "" if lag is None else f"{lag:,}",
                state.config["cleanup.policy"],
                state.summary,
            )
        )


@click.command(
    epilog="""\b
Examples:
  tidemill replay events.jsonl.gz --speed 60
  tidemill replay path/to/ml-100k --rate 500 --events 10000"""
)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@settings_options("bootstrap_servers", "prefix")
@click.option("--speed", type=float, help="Times real time; without it, as fast as it goes.")
@click.option("--rate", type=float, help="Events per second instead of the log's own times.")
@click.option("--events", type=click.IntRange(min=1), help="Send only so many events.")
@click.option(
    "--without-users",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with one user id per line: their events are left out.",
)
def replay(  # noqa: PLR0913, PLR0917 - one per option
    path: Path,
    settings: Settings,
    speed: float | None,
    rate: float | None,
    events: int | None,
    without_users: Path | None,
) -> None:
    """Stream the recorded log at PATH into the topics, in time order.

    Reads our own schema (parquet, JSON lines, .gz) and Amazon Reviews, MovieLens, RetailRocket and
    YooChoose as downloaded. Every event carries an id: a log sent twice counts once.
    """
    from infra.pace import Pace
    from infra.replay import progress_bar
    from infra.replay import replay as send
    from stream.clock import SystemClock
    from stream.connect import KafkaConfig
    from stream.formats import open_log

    log = open_log(path)
    text = "" if without_users is None else without_users.read_text(encoding="utf-8")
    without = frozenset(text.splitlines())
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    pace = Pace(SystemClock(), speed=speed, rate_per_s=rate)
    kafka = settings.section(KafkaConfig)
    with progress_bar(log.name, events) as report:
        done = send(
            log.records(), kafka, pace, events=events, without=without, stop=stop, report=report
        )
    sent = ", ".join(f"{count:,} {topic}" for topic, count in sorted(done.sent.items()))
    left_out = f"; left out {done.left_out:,} of users who are not to be sent" if without else ""
    click.echo(f"sent {sent or 'nothing'}{left_out}")
    if done.stopped:
        raise KeyboardInterrupt
