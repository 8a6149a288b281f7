"""`dead-letters`: what was refused and why, one letter whole, and records sent again."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from infra.commands.options import settings_options

if TYPE_CHECKING:
    from infra.settings import Settings
    from stream.letters import Filter

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@click.group(
    "dead-letters",
    epilog="""\b
Examples:
  tidemill dead-letters list --since 2h
  tidemill dead-letters show 1 4711
  tidemill dead-letters replay --reason out_of_range --dry-run""",
)
def dead_letters() -> None:
    """See what was refused and why; send it again after a fix."""


class Since(click.ParamType):
    """A span back from now, or a time with its zone; becomes Unix milliseconds."""

    name = "since"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Read `15m`, `2h`, `7d`, or ISO 8601."""
        if isinstance(value, int):
            return value
        if span := re.fullmatch(r"(\d{1,6})([smhd])", value):
            now_s = datetime.now(UTC).timestamp()
            return int((now_s - int(span[1]) * _UNITS_S[span[2]]) * 1000)
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            when = None
        if when is None or when.tzinfo is None:
            self.fail(f"give a span like 15m, 2h or 7d, or a time with its zone, not {value!r}")
        return int(when.timestamp() * 1000)


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--user", metavar="ID", help="Only letters of this user."),
        click.option("--since", type=Since(), help="Only newer ones: 15m, 2h, 7d, or a time."),
        click.option("--role", "roles", multiple=True, help="Only those of this role."),
        click.option("--reason", "reasons", multiple=True, help="Only those with this reason."),
        click.option("--topic", "topics", multiple=True, help="Only records of this topic."),
    ):
        command = option(command)
    return command


@dead_letters.command(
    "list",
    epilog="""\b
Examples:
  tidemill dead-letters list
  tidemill dead-letters list --topic reviews --reason out_of_range --newest 50 --details""",
)
@settings_options("bootstrap_servers", "prefix")
@_filters
@click.option(
    "--newest", type=click.IntRange(min=0), default=10, show_default=True, help="Show so many."
)
@click.option("--details", is_flag=True, help="Show messages too: they may hold personal data.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON line.")
def list_(settings: Settings, *, newest: int, details: bool, as_json: bool, **chosen: Any) -> None:
    """Count the letters by source, reason and role, and show the newest."""
    from infra.dead_letters import listing
    from infra.topic_admin import connect
    from stream.connect import KafkaConfig
    from stream.topics import Topics

    kafka = settings.section(KafkaConfig)
    with connect(kafka):
        found = listing(kafka, _wanted(settings, chosen), newest)
    if not found.counts:
        click.echo(f"{Topics(kafka.topic_prefix).dead_letters} holds no such letter")
    line = "{:<28} {:<14} {:<10} {:>9}  {}"
    if found.counts:
        click.echo(line.format("topic", "reason", "role", "letters", "newest"))
    for (topic, reason, role), (count, last_ms) in sorted(found.counts.items()):
        click.echo(line.format(topic, reason, role, f"{count:,}", _when(last_ms)))
    if found.unreadable:
        click.echo(f"{found.unreadable:,} more can't be read: no dead letters, or newer ones")
    if found.newest:
        place = "\n{:>5} {:>9}  {:<20} {:<38} {:<14} {:>7}"
        click.echo(place.format("part.", "offset", "refused", "source", "reason", "replays"))
        for partition, offset, letter in found.newest:
            text = place[1:].format(
                partition,
                offset,
                _when(letter.last_failed_ms),
                letter.source,
                letter.reason,
                letter.replay_count,
            )
            click.echo(text + (f"  {_escaped(letter.message.encode())}" if details else ""))
    if as_json:
        click.echo(json.dumps(found.figures()))


@dead_letters.command(
    epilog="""\b
Examples:
  tidemill dead-letters show 1 4711
  tidemill dead-letters show 1 4711 --raw > record.json"""
)
@click.argument("partition", type=click.IntRange(min=0))
@click.argument("offset", type=click.IntRange(min=0))
@settings_options("bootstrap_servers", "prefix")
@click.option(
    "--bytes",
    "limit",
    type=click.IntRange(min=0),
    default=4_096,
    show_default=True,
    help="Show at most so many of the value.",
)
@click.option("--raw", is_flag=True, help="Write the value's bytes as they are, nothing else.")
def show(settings: Settings, partition: int, offset: int, *, limit: int, raw: bool) -> None:
    """Show the letter at PARTITION and OFFSET of the topic: its headers and the record.

    What is no printable text is escaped as in Python; personal data is shown as it is.
    """
    from infra.dead_letters import find_record
    from infra.topic_admin import connect
    from stream.connect import KafkaConfig
    from stream.letters import read_letter

    kafka = settings.section(KafkaConfig)
    with connect(kafka):
        record = find_record(kafka, partition, offset)
    if raw:
        sys.stdout.buffer.write(record.value or b"")
        return
    letter = read_letter(record)
    for name, header in record.headers[len(letter.headers) :]:
        if name != "tidemill.dlq.key":
            click.echo(f"{_escaped(name.encode())}: {_escaped(header)}")
    click.echo("\nthe record")
    click.echo(f"timestamp: {letter.timestamp_ms} ({_when(letter.timestamp_ms)})")
    for name, header in letter.headers:
        click.echo(f"header {_escaped(name.encode())}: {_escaped(header)}")
    click.echo(f"key: {_escaped(letter.key)}")
    value = letter.value
    more = "" if value is None or len(value) <= limit else f" (the first {limit} of {len(value)})"
    click.echo(f"value{more}: {_escaped(value and value[:limit])}")


@dead_letters.command(
    epilog="""\b
Examples:
  tidemill dead-letters replay --dry-run
  tidemill dead-letters replay --topic reviews --reason out_of_range --since 7d --json"""
)
@settings_options("bootstrap_servers", "prefix")
@_filters
@click.option("--limit", type=click.IntRange(min=1), help="Send at most so many records.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON line.")
def replay(
    settings: Settings, *, limit: int | None, dry_run: bool, as_json: bool, **chosen: Any
) -> None:
    """Send refused records to their topics again, as they were.

    Goes up to the end as it is at the beginning. An event that was accepted meanwhile is passed
    over, so replaying twice counts nothing twice; a record that comes back three times is left.
    Records of `items` are replayed only with --topic items: an old one would undo a newer one.
    """
    import asyncio
    import signal
    import threading

    from infra.dead_letter_replay import Replay, progress_line
    from infra.topic_admin import connect
    from stream.clock import SystemClock
    from stream.connect import KafkaConfig

    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    kafka = settings.section(KafkaConfig)
    with connect(kafka), progress_line() as report:
        run = Replay(
            kafka,
            _wanted(settings, chosen),
            SystemClock(),
            dry_run=dry_run,
            limit=limit,
            report=report,
            stop=stop.is_set,
        )
        done = asyncio.run(run.run())
    for text in done.lines():
        click.echo(text)
    if as_json:
        click.echo(json.dumps(done.figures()))
    if done.stopped:
        raise KeyboardInterrupt


def _wanted(settings: Settings, chosen: dict[str, Any]) -> Filter:
    from stream.connect import KafkaConfig
    from stream.letters import Filter

    return Filter(
        prefix=settings.section(KafkaConfig).topic_prefix,
        topics=chosen["topics"],
        reasons=chosen["reasons"],
        roles=chosen["roles"],
        since_ms=chosen["since"],
        user_id=chosen["user"],
    )


def _when(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(ms)


def _escaped(data: bytes | None) -> str:
    from stream.letters import escaped

    return escaped(data)
