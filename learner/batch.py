"""Histories as arrays: what a micro-batch of users looked at, bought and rated before now.

Legend: `B` users, `T` past steps. Rows are the catalogue's, `UNKNOWN` (-1) is padding; the newest
step of each history is in the last column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import UNKNOWN, Catalog
from stream.events import KIND_CODE, Example, Step
from stream.seen import item_code

_NOTHING = np.zeros(0, np.int8)


@dataclass(frozen=True, slots=True)
class Histories:
    """What is known of `B` users at the moments `now_B`."""

    rows_BT: NDArray[np.int32]
    kinds_BT: NDArray[np.int8]
    ts_BT: NDArray[np.int64]
    ratings_BT: NDArray[np.float32]
    now_B: NDArray[np.int64]
    events_B: NDArray[np.int32]
    seen_B: Sequence[bytes] = field(default=())
    """The codes of items before these steps, or nothing of anyone."""
    doing_B: NDArray[np.int8] = field(default_factory=lambda: _NOTHING)
    """What each does now, or nothing of anyone: a list is made before anything is done."""

    def __len__(self) -> int:
        """The number of users."""
        return len(self.rows_BT)

    @property
    def lengths_B(self) -> NDArray[np.int64]:
        """How many known past steps each user has here."""
        return np.asarray((self.rows_BT >= 0).sum(axis=1))

    def gaps_B(self) -> NDArray[np.float32]:
        """Seconds since each user's newest step, 0 for a user without one."""
        gap_B = (self.now_B - self.ts_BT[:, -1]) / 1000.0
        return np.where(self.rows_BT[:, -1] >= 0, np.maximum(gap_B, 0.0), 0.0).astype(np.float32)

    def take(self, index: NDArray[np.int64] | slice) -> Histories:
        """Some of the users."""
        return Histories(
            self.rows_BT[index],
            self.kinds_BT[index],
            self.ts_BT[index],
            self.ratings_BT[index],
            self.now_B[index],
            self.events_B[index],
            self._seen(index),
            self.doing_B[index] if len(self.doing_B) else self.doing_B,
        )

    def _seen(self, index: NDArray[np.int64] | slice) -> Sequence[bytes]:
        if not self.seen_B or isinstance(index, slice):
            return self.seen_B[index] if isinstance(index, slice) else ()
        return [self.seen_B[b] for b in index.tolist()]


def joined(parts: Sequence[Histories]) -> Histories:
    """The users of several, one after the other; codes of older items are left behind."""

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return Histories(
        column("rows_BT"),
        column("kinds_BT"),
        column("ts_BT"),
        column("ratings_BT"),
        column("now_B"),
        column("events_B"),
        doing_B=column("doing_B") if all(len(p.doing_B) == len(p) for p in parts) else _NOTHING,
    )


def make_histories(
    catalog: Catalog,
    histories: Sequence[Sequence[Step]],
    now_ms: Sequence[int],
    events: Sequence[int],
    steps: int,
    *,
    seen: Sequence[bytes] = (),
) -> Histories:
    """Lay histories out as arrays; steps at items that the catalogue doesn't hold are left out.

    Where a history has more than so many steps, the items of its oldest are added to what was
    `seen`.

    Examples
    --------
    >>> from stream.events import ItemVector
    >>> catalog = Catalog(width=2)
    >>> catalog.upsert([ItemVector(item_id=i, vector=b"", encoder="", text_hash="",
    ...                            first_seen_ms=0) for i in "ab"])
    >>> past = [Step("a", "view", 10), Step("gone", "view", 20), Step("b", "cart", 30)]
    >>> h = make_histories(catalog, [past, []], [40, 40], [3, 0], steps=3)
    >>> h.rows_BT.tolist(), h.ts_BT[0].tolist(), h.lengths_B.tolist()
    ([[-1, 0, 1], [-1, -1, -1]], [0, 10, 30], [2, 0])
    """
    B = len(histories)
    newest = [history[-steps:] for history in histories]
    flat = [step for history in newest for step in history]
    row_N = catalog.rows([step.item_id for step in flat])
    owner_N = np.repeat(np.arange(B), np.array([len(history) for history in newest], np.int64))
    known_N = row_N >= 0
    length_B1 = np.bincount(owner_N[known_N], minlength=B)[:, None]
    place_BT = np.arange(steps) >= steps - length_B1

    def laid(values: list[Any] | NDArray[Any], blank: int, kind: type[np.generic]) -> NDArray[Any]:
        array_BT = np.full((B, steps), blank, kind)
        array_BT[place_BT] = np.asarray(values, kind)[known_N]
        return array_BT

    rows_BT = laid(row_N, UNKNOWN, np.int32)
    kinds_BT = laid([KIND_CODE[step.kind] for step in flat], 0, np.int8)
    ts_BT = laid([step.ts_ms for step in flat], 0, np.int64)
    ratings_BT = laid([step.rating or 0.0 for step in flat], 0, np.float32)
    seen_B = list(seen) or [b""] * B
    for b, history in enumerate(histories):
        if len(history) > steps:
            seen_B[b] += b"".join(item_code(step.item_id) for step in history[:-steps])
    return Histories(
        rows_BT,
        kinds_BT,
        ts_BT,
        ratings_BT,
        np.asarray(now_ms, np.int64),
        np.asarray(events, np.int32),
        seen_B if any(seen_B) else (),
    )


def histories_of(catalog: Catalog, examples: Sequence[Example], steps: int) -> Histories:
    """What is known of the examples' users just before their events."""
    past = make_histories(
        catalog,
        [example.history for example in examples],
        [example.ts_ms for example in examples],
        [example.user_events for example in examples],
        steps,
        seen=[example.seen for example in examples],
    )
    kinds = [KIND_CODE[example.kind] for example in examples]
    return replace(past, doing_B=np.array(kinds, np.int8))
