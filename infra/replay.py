"""Replay: a recorded log goes into the topics, as its shop's producer would have sent it.

Items go first and at once, events in time order and at the pace asked for. Every record carries the
id of its row, so that a log that is sent twice counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from infra.pace import Pace
from stream.access import check_access, refusal
from stream.connect import KafkaConfig
from stream.errors import Halt, Unavailable
from stream.events import json_encode
from stream.formats.log import LogRecord

BATCH_BYTES = 256 * 1024
"""Records of one partition sent at once; small ones cost one round trip each."""

CONNECT_TIMEOUT_MS = 10_000
FLUSH_TIMEOUT_S = 120.0
"""The producer holds at most 32 MB back; a broker that takes longer than this is away."""

PROGRESS_EVERY = 200
"""Records between two reports: the bar moves smoothly and costs nothing."""


@dataclass
class Replayed:
    """What was sent, by topic without prefix; `stopped` if it was ended before the log was.

    `left_out` are the events of users who are not to be learnt again.
    """

    sent: Counter[str] = field(default_factory=Counter)
    stopped: bool = False
    left_out: int = 0

    @property
    def events(self) -> int:
        """Records sent, items not counted."""
        return self.sent.total() - self.sent["items"]


Report = Callable[[Replayed], None]


class Sender:
    """A producer of raw records that says at once when the broker takes no more."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._failure: Exception | None = None
        self._producer: Any = None
        clients: list[Any] = []
        check_access(kafka)

        def client(**settings: Any) -> Any:
            clients.append(KafkaProducer.DEFAULT_CONFIG["kafka_client"](**settings))
            return clients[0]

        try:
            self._producer = KafkaProducer(
                **kafka.client_settings(),
                acks="all",
                enable_idempotence=True,
                linger_ms=20,
                batch_size=BATCH_BYTES,
                bootstrap_timeout_ms=CONNECT_TIMEOUT_MS,
                kafka_client=client,
                allow_auto_create_topics=False,
            )
        except (KafkaError, OSError, ValueError) as error:
            for opened in clients:  # A producer that fails to start leaves its sockets open.
                opened.close()
            away = self._away(error)
        if self._producer is None:
            raise away  # Out here: the failed producer isn't kept alive by a traceback.

    def send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Hand over a record; `topic` is the name without its prefix."""
        if self._failure is not None:
            raise self._away(self._failure)
        try:
            full = f"{self._kafka.topic_prefix}{topic}"
            self._producer.send(full, key=key, value=value).add_errback(self._failed)
        except KafkaError as error:
            raise self._away(error) from error

    def flush(self) -> None:
        """Wait until the broker has everything."""
        try:
            self._producer.flush(timeout=FLUSH_TIMEOUT_S)
        except KafkaError as error:
            raise self._away(error) from error
        if self._failure is not None:
            raise self._away(self._failure)

    def close(self) -> None:
        """Disconnect."""
        self._producer.close(timeout=5)

    def _failed(self, error: Exception) -> None:
        self._failure = self._failure or error

    def _away(self, error: Exception) -> Unavailable | Halt:
        return refusal(error, self._kafka) or Unavailable(
            f"the broker at {self._kafka.bootstrap_servers} doesn't take the records "
            f"({type(error).__name__}: {error}); is it running, and are the topics there "
            "(`tidemill topics create`)?"
        )


def replay(
    records: Iterable[LogRecord],
    kafka: KafkaConfig,
    pace: Pace,
    *,
    events: int | None = None,
    without: frozenset[str] = frozenset(),
    stop: Flag | None = None,
    report: Report | None = None,
) -> Replayed:
    """Send a log.

    Parameters
    ----------
    records
        Items, then events in time order: `Log.records()`.
    kafka
        The broker and the topics' prefix.
    pace
        How fast.
    events
        Send only so many events.
    without
        Users whose events are left out: who was forgotten is not to be learnt again.
    stop
        Set from elsewhere (Ctrl-C), it ends the replay after the record in hand.
    report
        Called now and then with the counts so far, and once at the end.

    Raises
    ------
    Unavailable
        If the broker doesn't take a record; what was sent before may be there.
    """
    stop = stop or Flag()
    done = Replayed()
    sender = Sender(kafka)
    try:
        for record in records:
            if without and getattr(record.value, "user_id", None) in without:
                done.left_out += 1
                continue
            if record.topic != "items":
                if events is not None and done.events >= events:
                    break
                wait_s = pace.wait_s(record.ts_ms)
                if wait_s > 0:
                    _tell(report, done)
                    stop.wait(wait_s)
            if stop.is_set():
                done.stopped = True
                break
            sender.send(record.topic, record.key, json_encode(record.value))
            done.sent[record.topic] += 1
            if done.sent.total() % PROGRESS_EVERY == 0:
                _tell(report, done)
        sender.flush()
    finally:
        sender.close()
    _tell(report, done)
    return done


@contextmanager
def progress_bar(title: str, total: int | None, console: Console | None = None) -> Iterator[Report]:
    """Show a bar of the events sent while the block runs; gives the `report` for `replay`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{title}: items", total=total, rate=0.0)

        def report(done: Replayed) -> None:
            what = "events" if done.events else f"{done.sent['items']:,} items"
            speed = progress.tasks[0].speed or 0.0
            progress.update(task, completed=done.events, description=f"{title}: {what}", rate=speed)

        yield report


def _tell(report: Report | None, done: Replayed) -> None:
    if report is not None:
        report(done)
