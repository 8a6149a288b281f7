"""RetailRocket and YooChoose: logs of anonymous shops, in comma separated lines.

RetailRocket (https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset): `events.csv` with
`timestamp,visitorid,event,itemid,transactionid`, and `item_properties_part*.csv`, of which the
category and the availability can be read. YooChoose (RecSys Challenge 2015):
`yoochoose-clicks.dat` and `yoochoose-buys.dat`, whose users are sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from stream.errors import SettingsError
from stream.events import Item
from stream.formats.files import lines, stem
from stream.formats.log import Row, to_batches

T = TypeVar("T")

RETAILROCKET_KINDS = {"view": "view", "addtocart": "cart", "transaction": "purchase"}


class RetailRocketLog:
    """`events.csv`, and the item properties beside it."""

    format = "RetailRocket"
    ordered = False

    def __init__(self, events: Path) -> None:
        self._events = events
        self._properties = sorted(events.parent.glob("item_properties*.csv*"))
        self.name = f"retailrocket-{stem(events.absolute().parent)}"

    def items(self) -> Iterator[Item]:
        """Items with their newest category and availability."""
        newest: dict[tuple[str, str], tuple[int, str]] = {}
        for path in self._properties:
            for row in _rows_of(path, 4, _same):
                if row[2] in ("categoryid", "available"):
                    found = (int(row[0]), row[3])
                    key = (row[1], row[2])
                    newest[key] = max(newest.get(key, found), found)
        nothing = (0, "")
        for item_id in dict.fromkeys(item_id for item_id, _ in newest):
            category = newest.get((item_id, "categoryid"), nothing)[1]
            available = newest.get((item_id, "available"), (0, "1"))[1]
            yield Item(
                item_id=item_id,
                category=(f"category {category}",) if category else (),
                available=available != "0",
            )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Views, carts and purchases."""
        return to_batches(_rows_of(self._events, 5, _retailrocket_row))


class YooChooseLog:
    """Clicks and buys; either may be missing."""

    format = "YooChoose"
    ordered = False

    def __init__(self, clicks: Path | None, buys: Path | None) -> None:
        self._clicks, self._buys = clicks, buys
        self.name = "yoochoose"

    def items(self) -> Iterator[Item]:
        """Nothing is known of the items."""
        return iter(())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Clicks, then buys."""
        if self._clicks is not None:
            yield from to_batches(_rows_of(self._clicks, 4, _yoochoose_click))
        if self._buys is not None:
            yield from to_batches(_rows_of(self._buys, 5, _yoochoose_buy))


def _rows_of(path: Path, width: int, make: Callable[[list[str]], T]) -> Iterator[T]:
    for at, line in enumerate(lines(path), start=1):
        cells = line.split(",")
        if at == 1 and cells[0] in ("timestamp", "session_id", "Session ID"):
            continue
        try:
            if len(cells) != width:
                msg = f"{len(cells)} cells instead of {width}"
                raise ValueError(msg)
            made = make(cells)
        except (ValueError, KeyError) as error:
            msg = f"{path}, line {at}: {error}: {line[:100]!r}"
            raise SettingsError(msg) from None
        yield made


def _same(cells: list[str]) -> list[str]:
    int(cells[0])
    return cells


def _retailrocket_row(cells: list[str]) -> Row:
    ts_ms, visitor, event, item_id, transaction = cells
    kind = RETAILROCKET_KINDS[event]
    return Row(int(ts_ms), visitor, item_id, kind, session_id=transaction or None)


def _yoochoose_click(cells: list[str]) -> Row:
    session, time, item_id, _ = cells
    return Row(_iso_ms(time), f"s{session}", item_id, "click", session_id=session)


def _yoochoose_buy(cells: list[str]) -> Row:
    session, time, item_id, price, quantity = cells
    return Row(
        _iso_ms(time),
        f"s{session}",
        item_id,
        "purchase",
        session_id=session,
        price=float(price) or None,
        quantity=max(1, int(quantity)),
    )


def _iso_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
