"""The catalogue in memory: one growing matrix of text vectors, a row per item.

Row numbers are given in the order of arrival, stay the same for the life of the process, and mean
nothing outside it: whatever is saved is keyed by item id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.events import ItemVector
from stream.seen import item_code

UNKNOWN = -1
"""The row of an item that the catalogue doesn't hold."""

_FIRST_CAPACITY = 1024


def is_damaged(item: ItemVector) -> bool:
    r"""Whether a vector is one that no encoder wrote: cut off, or not a number.

    A single one in the matrix would make every score of every user not a number.

    >>> is_damaged(ItemVector(item_id="a", vector=b"\0\x7e", encoder="", text_hash="",
    ...                       first_seen_ms=0))
    True
    """
    vector = item.vector
    return len(vector) % 2 > 0 or not np.isfinite(np.frombuffer(vector, dtype="<f2")).all()


class Catalog:
    """Items by row, with their L2-normalised text vectors; `version` counts the changes.

    Parameters
    ----------
    width
        Of the vectors.
    texts
        Keep descriptions and attributes as well: for who searches items and answers questions.

    Examples
    --------
    >>> catalog = Catalog(width=2)
    >>> vector = np.array([1, 0], dtype="<f2").tobytes()
    >>> catalog.upsert([ItemVector(item_id="a", vector=vector, encoder="test", text_hash="",
    ...                            first_seen_ms=0, title="Red tea pot")])
    >>> catalog.rows(["a", "b"]).tolist(), catalog.item(0).title, len(catalog)
    ([0, -1], 'Red tea pot', 1)
    >>> catalog.delete(["a"])
    >>> catalog.available.tolist(), len(catalog)
    ([False], 1)
    """

    def __init__(self, width: int, *, texts: bool = False) -> None:
        self.width = width
        self.texts = texts
        self.version = 0
        self._row_of: dict[str, int] = {}
        self._items: list[ItemVector] = []
        self._first_of: dict[str, int] = {}
        self._vectors: NDArray[np.float32] = np.zeros((_FIRST_CAPACITY, width), np.float32)
        self._available: NDArray[np.bool_] = np.zeros(_FIRST_CAPACITY, np.bool_)
        self._codes: NDArray[np.uint32] = np.zeros(_FIRST_CAPACITY, np.uint32)
        self._changed: NDArray[np.int64] = np.zeros(_FIRST_CAPACITY, np.int64)

    def __len__(self) -> int:
        """The number of rows, deleted items included."""
        return len(self._items)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Text vectors, shape (items, width); a zero row has no text. A view: don't write."""
        return self._vectors[: len(self._items)]

    @property
    def available(self) -> NDArray[np.bool_]:
        """Whether each row may be recommended, shape (items,). A view: don't write."""
        return self._available[: len(self._items)]

    @property
    def codes(self) -> NDArray[np.uint32]:
        """Each row's `item_code`, shape (items,). A view: don't write."""
        return self._codes[: len(self._items)]

    def row(self, item_id: str) -> int:
        """The row of an item, `UNKNOWN` if it has none."""
        return self._row_of.get(item_id, UNKNOWN)

    def rows(self, item_ids: Iterable[str]) -> NDArray[np.int32]:
        """The rows of many items, `UNKNOWN` where there is none."""
        find = self._row_of.get
        return np.array([find(item_id, UNKNOWN) for item_id in item_ids], dtype=np.int32)

    def item(self, row: int) -> ItemVector:
        """What is known of the item in a row."""
        return self._items[row]

    def twin(self, item_id: str, gtin: str) -> ItemVector | None:
        """The first item of an article number, unless that is the item itself, or none has it."""
        row = self._first_of.get(gtin) if gtin else None
        if row is None:
            return None
        first = self._items[row]
        return first if first.gtin == gtin and first.item_id != item_id else None

    def changed_since(self, version: int) -> NDArray[np.int64]:
        """The rows that were upserted after a version of the catalogue, rising."""
        return np.flatnonzero(self._changed[: len(self._items)] > version)

    def upsert(self, items: Sequence[ItemVector]) -> None:
        """Add items, or replace what is known of them.

        Raises
        ------
        ValueError
            If a vector's width is not the catalogue's, or it is damaged; items before it are added.
        """
        self.version += 1
        for item in items:
            if is_damaged(item):
                msg = f"item {item.item_id!r}: its vector is no row of finite 16-bit numbers"
                raise ValueError(msg)
            vector = np.frombuffer(item.vector, dtype="<f2")
            if vector.size not in (0, self.width):
                msg = (
                    f"item {item.item_id!r}: vector of width {vector.size}, the catalogue has "
                    f"{self.width}; was the encoder changed from {item.encoder!r}?"
                )
                raise ValueError(msg)
            if not self.texts and (item.description or item.attributes):
                item = msgspec.structs.replace(item, description="", attributes={})  # noqa: PLW2901
            row = self._row_of.get(item.item_id)
            if row is None:
                row = len(self._items)
                self._reserve(row + 1)
                self._row_of[item.item_id] = row
                self._items.append(item)
                self._codes[row] = int.from_bytes(item_code(item.item_id), "little")
            else:
                self._items[row] = item
            if item.gtin:
                self._first_of.setdefault(item.gtin, row)
            self._vectors[row] = vector if vector.size else 0.0
            self._changed[row] = self.version
            self._available[row] = item.available

    def delete(self, item_ids: Iterable[str]) -> None:
        """Withdraw items: their rows stay, and are never recommended again until upserted."""
        self.version += 1
        for item_id in item_ids:
            row = self._row_of.get(item_id)
            if row is not None:
                self._available[row] = False

    def _reserve(self, rows: int) -> None:
        capacity = len(self._available)
        if rows <= capacity:
            return
        grown = max(rows, 2 * capacity)
        self._vectors = np.concatenate(
            [self._vectors, np.zeros((grown - capacity, self.width), np.float32)]
        )
        self._available = np.concatenate([self._available, np.zeros(grown - capacity, np.bool_)])
        self._codes = np.concatenate([self._codes, np.zeros(grown - capacity, np.uint32)])
        self._changed = np.concatenate([self._changed, np.zeros(grown - capacity, np.int64)])
