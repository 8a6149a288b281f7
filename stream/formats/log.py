"""A recorded log: its catalogue first, then its events in time order, each with a stable id."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from stream.events import Click, Item, Purchase, Review
from stream.formats.order import Sorter
from stream.parse_time import EARLIEST_MS

BATCH_ROWS = 16_384
"""Rows turned into Python objects at a time: a few megabytes."""

ORDER_ONLY_START_MS = 946_684_800_000
"""2000-01-01: where a log is moved to whose times have no dates, only an order from 0 on."""

EVENT_SCHEMA = pa.schema(
    [
        ("ts_ms", pa.int64()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("kind", pa.string()),
        ("rating", pa.float64()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("session_id", pa.string()),
        ("price", pa.float64()),
        ("quantity", pa.int64()),
    ]
)


class Row(NamedTuple):
    """One event as the formats give it, in the columns of `EVENT_SCHEMA`."""

    ts_ms: int
    user_id: str
    item_id: str
    kind: str
    rating: float | None = None
    title: str | None = None
    text: str | None = None
    session_id: str | None = None
    price: float | None = None
    quantity: int | None = None


class LogRecord(NamedTuple):
    """A record to send: the topic without its prefix, the key, and what it says, and when."""

    topic: str
    key: bytes
    value: Item | Click | Purchase | Review
    ts_ms: int


class Source(Protocol):
    """What a format has to give."""

    @property
    def name(self) -> str:
        """The log's name, the first part of its events' ids."""

    @property
    def format(self) -> str:
        """What a reader calls the format."""

    @property
    def ordered(self) -> bool:
        """Whether the rows come in time order already."""

    def items(self) -> Iterator[Item]:
        """The catalogue, as far as the log has one."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The events in file order, in the columns of `EVENT_SCHEMA`."""


class Log:
    """A log, ready to be replayed as often as one likes.

    What is larger than memory allows is sorted on disk, in a temporary folder.

    Parameters
    ----------
    source
        The format's reader.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name = source.name
        self.format = source.format

    def records(self) -> Iterator[LogRecord]:
        """The whole log: items first, then events in time order."""
        return chain(self.items(), self.events())

    def items(self) -> Iterator[LogRecord]:
        """The catalogue, then a bare item for every id that only the events know."""
        known = set()
        for item in self._source.items():
            if item.item_id not in known:
                known.add(item.item_id)
                yield LogRecord("items", item.item_id.encode(), item, 0)
        for item_id in self._digest.item_ids:
            if item_id not in known:
                yield LogRecord("items", item_id.encode(), Item(item_id=item_id), 0)

    def events(self) -> Iterator[LogRecord]:
        """The events in time order; equal times stay in file order."""
        shift_ms: int | None = None
        for columns in self._ordered_columns():
            for row in zip(*columns, strict=True):
                if shift_ms is None:
                    dated = row[0] >= EARLIEST_MS
                    shift_ms = 0 if dated else ORDER_ONLY_START_MS - row[0]
                yield _record(row, self.name, shift_ms)

    @property
    def total_events(self) -> int:
        """How many events there are."""
        return self._digest.rows

    @cached_property
    def _digest(self) -> Sorter:
        sorter = Sorter(self._scratch, keep_rows=not self._source.ordered)
        sorter.read(self._source.batches())
        return sorter

    def _scratch(self) -> Path:
        folder = tempfile.mkdtemp(prefix="tidemill-log-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def _ordered_columns(self) -> Iterator[list[list[Any]]]:
        if not self._source.ordered:
            yield from self._digest.columns()
            return
        start = 0
        for batch in self._source.batches():
            columns = [column.to_pylist() for column in batch.columns]
            yield [*columns, list(range(start, start + batch.num_rows))]
            start += batch.num_rows


def to_batches(rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    """Pack rows into record batches."""
    rows = iter(rows)
    while some := list(islice(rows, BATCH_ROWS)):
        columns = zip(*some, strict=True)
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(columns, EVENT_SCHEMA, strict=True)
        ]
        yield pa.record_batch(arrays, schema=EVENT_SCHEMA)


def number(value: float | None) -> float | None:
    """A number that is one: `None` for `NaN`, which tables use for 'nothing there'."""
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN is unlike itself


def _record(row: tuple[Any, ...], log: str, shift_ms: int) -> LogRecord:
    ts_ms, user_id, item_id, kind, rating, title, text, session_id, price, quantity, at = row
    ts_ms += shift_ms
    event_id = f"{log}-{at}"
    value: Click | Purchase | Review
    if kind == "purchase":
        topic = "purchases"
        value = Purchase(
            user_id=user_id,
            item_id=item_id,
            ts=ts_ms,
            quantity=quantity or 1,
            price=number(price),
            event_id=event_id,
            session_id=session_id,
        )
    elif kind == "review":
        topic = "reviews"
        value = Review(
            user_id=user_id,
            item_id=item_id,
            ts=ts_ms,
            rating=number(rating),
            title=title or "",
            text=text or "",
            event_id=event_id,
        )
    else:
        topic = "clicks"
        value = Click(
            user_id=user_id,
            item_id=item_id,
            ts=ts_ms,
            action=kind,
            event_id=event_id,
            session_id=session_id,
        )
    return LogRecord(topic, user_id.encode(), value, ts_ms)
