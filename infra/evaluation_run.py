"""From a recorded log to what an evaluation takes: its events, and a catalogue of its texts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from features.catalog import Catalog
from learner.catalogue import Encodes, encode_items, item_text
from learner.config import LearnerConfig
from stream.events import Click, Event, Item, Purchase, Review
from stream.formats import Log, LogRecord


def load_events(log: Log, last: int | None = None) -> list[Event]:
    """All events of a log, or the last ones, as ingest would have made them."""
    records = log.events() if last is None else deque(log.events(), maxlen=last)
    return [event_of(record) for record in records]


def event_of(record: LogRecord) -> Event:
    """A record of the log as a validated event."""
    value = record.value
    if isinstance(value, Item):
        message = f"item {value.item_id!r} is no event"
        raise TypeError(message)
    event = Event(
        event_id=value.event_id or "",
        user_id=value.user_id,
        item_id=value.item_id,
        kind="review",
        ts_ms=record.ts_ms,
        source="",
        received_ms=record.ts_ms,
    )
    match value:
        case Click():
            return replace(event, kind=value.action, session_id=value.session_id)
        case Purchase():
            return replace(event, kind="purchase", session_id=value.session_id)
        case Review():
            return replace(event, rating=value.rating)


def load_catalogue(
    log: Log,
    events: list[Event],
    config: LearnerConfig,
    encoder: Callable[[], Encodes] | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Catalog:
    """The log's items that have a text and occur in its events, encoded.

    The encoder is only made where there is a text; without one, it is the settings'.

    An item without text is left to be admitted by its first event: a log that only lists ids made
    that list from events which, at the start, are still to come.
    """
    occur = {event.item_id for event in events}
    items = [
        record.value
        for record in log.items()
        if isinstance(record.value, Item)
        and record.value.item_id in occur
        and item_text(record.value)
    ]
    catalog = Catalog(config.encoder.width)
    if items:
        from learner.encoder import TextEncoder  # noqa: PLC0415 - not every log has texts

        done, made = 0, TextEncoder(config.encoder) if encoder is None else encoder()
        for part in encode_items(items, made, lambda _: None, now_ms=0):
            catalog.upsert(part)
            done += sum(bool(vector.vector) for vector in part)
            progress("text of items", done, len(items))
    return catalog


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show on stderr which row is at work, and how far it is."""
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, int] = {}

        def show(row: str, done: int, total: int) -> None:
            if row not in tasks:
                for other in bar.tasks:
                    bar.remove_task(other.id)
                tasks.clear()
                tasks[row] = bar.add_task(row, total=total)
            bar.update(bar.tasks[0].id, completed=done, total=total)

        yield show
