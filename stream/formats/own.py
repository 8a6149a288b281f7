"""Our own log format: one table of events, one of items, as parquet or JSON lines.

Events: `ts_ms`, `user_id`, `item_id`, and where there is more, `kind` (view, click, cart,
purchase, review; click if absent), `rating`, `title`, `text`, `session_id`, `price`, `quantity`,
`other` (JSON, of which `price`, `unit_price`, `quantity` and `qty` are read). In JSON lines, `ts`
may stand for `ts_ms` and `action` for `kind`, so that what lay on the raw topics is a log too.

Items: `item_id`, `title`, `description`, `category`, `brand`, `price`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stream.errors import BadRecord, SettingsError
from stream.events import KINDS, Id, Item
from stream.formats.files import json_lines, stem
from stream.formats.log import BATCH_ROWS, EVENT_SCHEMA, Row, number, to_batches
from stream.parse_time import read_time_ms

REQUIRED = ("ts_ms", "user_id", "item_id")

MANY_TAGS = 3
"""Commas from which a category is taken for a list of tags, not for one name with commas."""

_DOTTED = re.compile(r"\w+(\.\w+)+")


class ParquetLog:
    """`events.parquet`, and `items.parquet` beside it."""

    format = "Tidemill parquet"

    def __init__(self, events: Path) -> None:
        self._events = events
        self._items = events.with_name("items.parquet")
        self.name = _name(events)
        self._file = pq.ParquetFile(events)
        columns = self._file.schema_arrow.names
        if missing := [name for name in REQUIRED if name not in columns]:
            msg = f"{events}: the columns {missing} are missing, found {columns}"
            raise SettingsError(msg)
        self.ordered = self._in_order()

    def items(self) -> Iterator[Item]:
        """The rows of `items.parquet`."""
        if self._items.exists() and self._items != self._events:
            for batch in pq.ParquetFile(self._items).iter_batches(BATCH_ROWS):
                for row in batch.to_pylist():
                    yield _item(row)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of `events.parquet`, columns that it lacks filled with nothing."""
        wanted = [n for n in (*EVENT_SCHEMA.names, "other") if n in self._file.schema_arrow.names]
        for batch in self._file.iter_batches(BATCH_ROWS, columns=wanted):
            yield _fill(batch)

    def _in_order(self) -> bool:
        last: int | None = None
        for batch in self._file.iter_batches(BATCH_ROWS * 8, columns=["ts_ms"]):
            times = batch.column(0)
            if times.null_count or not len(times):
                continue
            steps = pc.pairwise_diff(times) if len(times) > 1 else None
            backwards = steps is not None and (pc.min(steps).as_py() or 0) < 0
            if backwards or (last is not None and times[0].as_py() < last):
                return False
            last = times[-1].as_py()
        return True


class _JsonEvent(msgspec.Struct):
    user_id: Id
    item_id: Id
    ts_ms: int | None = None
    ts: int | str | None = None
    kind: str | None = None
    action: str | None = None
    rating: float | None = None
    title: str | None = None
    text: str | None = None
    session_id: str | None = None
    price: float | None = None
    quantity: int | None = None


class JsonLog:
    """`events.jsonl`, and `items.jsonl` beside it; both may be gzipped."""

    format = "Tidemill JSON lines"
    ordered = False

    def __init__(self, events: Path, items: Path | None) -> None:
        self._events, self._items = events, items
        self.name = _name(events)

    def items(self) -> Iterator[Item]:
        """The rows of `items.jsonl`."""
        if self._items is not None:
            decode = msgspec.json.Decoder(dict[str, Any]).decode
            for row in json_lines(self._items, decode):
                yield _item(row)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of `events.jsonl`."""
        return to_batches(json_lines(self._events, _decode_event))


_decoder = msgspec.json.Decoder(_JsonEvent)


def _decode_event(line: bytes) -> Row:
    event = _decoder.decode(line)
    ts = event.ts_ms if event.ts_ms is not None else event.ts
    if ts is None:
        msg = "`ts_ms` is missing"
        raise ValueError(msg)
    try:
        ts_ms = read_time_ms(ts)
    except BadRecord as error:
        raise ValueError(str(error)) from None
    kind = event.kind or event.action or _guess_kind(event)
    if kind not in KINDS:
        msg = f"`kind` must be one of {', '.join(KINDS)}, got {kind!r}"
        raise ValueError(msg)
    return Row(
        ts_ms,
        event.user_id,
        event.item_id,
        kind,
        event.rating,
        event.title,
        event.text,
        event.session_id,
        event.price,
        event.quantity,
    )


def _guess_kind(event: _JsonEvent) -> str:
    if event.rating is not None or event.text:
        return "review"
    return "purchase" if event.quantity is not None or event.price is not None else "click"


def _name(events: Path) -> str:
    return stem(events.parent if stem(events) == "events" else events)


def _fill(batch: pa.RecordBatch) -> pa.RecordBatch:
    have = dict(zip(batch.schema.names, batch.columns, strict=True))
    if "other" in have and not {"price", "quantity"} & set(have):
        have["price"], have["quantity"] = _from_other(have["other"].to_pylist())
    if "kind" not in have:
        have["kind"] = pa.array(["click"] * batch.num_rows)
    arrays = [
        have[field.name].cast(field.type)
        if field.name in have
        else pa.nulls(batch.num_rows, field.type)
        for field in EVENT_SCHEMA
    ]
    return pa.record_batch(arrays, schema=EVENT_SCHEMA)


def _from_other(texts: list[str | None]) -> tuple[pa.Array, pa.Array]:
    prices: list[float | None] = []
    quantities: list[int | None] = []
    for text in texts:
        other = _other_decode(text) if text else _NOTHING
        prices.append(other.unit_price if other.unit_price is not None else other.price)
        quantities.append(other.quantity or other.qty)
    return pa.array(prices, pa.float64()), pa.array(quantities, pa.int64())


class _Other(msgspec.Struct, frozen=True):
    price: float | None = None
    unit_price: float | None = None
    quantity: int | None = None
    qty: int | None = None


_NOTHING = _Other()
_other_decode = msgspec.json.Decoder(_Other).decode


def _item(row: dict[str, Any]) -> Item:
    return Item(
        item_id=str(row["item_id"]),
        title=row.get("title") or "",
        description=row.get("description") or "",
        category=_category(row.get("category") or ""),
        brand=row.get("brand") or "",
        price=number(row.get("price")),
        available=row.get("available") is not False,
    )


def _category(text: str | list[str]) -> str | tuple[str, ...]:
    """The first of several paths; `electronics.phone` is a path too, a list of tags is not."""
    if not isinstance(text, str):
        return tuple(text)
    first = text.split(" | ")[0]
    if first.count(",") >= MANY_TAGS:
        first = first.split(",")[0]
    return tuple(first.split(".")) if _DOTTED.fullmatch(first) else first
