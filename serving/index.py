"""The catalogue as requests filter it: by category, brand and price.

The learner fills `item-vectors`, this index follows it record by record.
"""

from __future__ import annotations

import logging
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalog import UNKNOWN, Catalog
from serving.ranker import Bools
from stream.batching import Record
from stream.events import Filters, ItemKind, ItemVector, decode_item_vector

_log = logging.getLogger(__name__)

PATH_SEPARATOR = " > "
"""Between the levels of a category path in a filter: `Kitchen > Tea`."""

_MASKS_KEPT = 64
"""Filters remembered between two changes of the catalogue. Each costs a byte per item."""

EVERYTHING = Filters()


class ItemIndex:
    """A catalogue with the rows of each category and brand, and each row's price.

    Examples
    --------
    >>> index = ItemIndex(Catalog(width=2))
    >>> index.upsert([ItemVector(item_id="pot", vector=b"", encoder="", text_hash="", price=9.0,
    ...                          first_seen_ms=0, category=("Kitchen", "Tea"), brand="Acme")])
    >>> index.mask(Filters(category="tea", price_max=10)).tolist()
    [True]
    >>> index.mask(Filters(category="Kitchen > Tea", brand="Other")).tolist()
    [False]
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.since_ms: int | None = None
        """When the oldest item arrived; `None` while there is none."""
        self._rows_of_category: dict[str, set[int]] = {}
        self._rows_of_brand: dict[str, set[int]] = {}
        self._prices: NDArray[np.float64] = np.full(1024, np.nan)
        self._masks: dict[tuple[Filters, ItemKind], Bools] = {}
        self._rows_of_kind: dict[ItemKind, set[int]] = {"content": set(), "ad": set()}
        self._foreign: set[str] = set()

    @property
    def offered(self) -> int:
        """How many items may be recommended."""
        return int(np.count_nonzero(self.catalog.available))

    def apply(self, record: Record) -> None:
        """Apply one record of `item-vectors`; a null value withdraws its item.

        A record that doesn't fit, such as a vector left by another encoder, is logged and skipped:
        the learner replaces it with one that does.
        """
        if record.value is None:
            if record.key is not None:
                self.catalog.delete([record.key.decode("utf-8", "replace")])
            return
        try:
            item = decode_item_vector(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("item-vectors@%d is not an item: %s; skipped", record.offset, error)
            return
        try:
            self.upsert([item])
        except ValueError as error:
            if item.encoder not in self._foreign:
                self._foreign.add(item.encoder)
                _log.warning("%s Items of that encoder are skipped.", error)

    def upsert(self, items: list[ItemVector]) -> None:
        """Add items, or replace what is known of them."""
        for item in items:
            row = self.catalog.row(item.item_id)
            before = None if row == UNKNOWN else self.catalog.item(row)
            self.catalog.upsert([item])
            row = self.catalog.row(item.item_id)
            if before is not None:
                self._forget(row, before)
            for label in category_labels(item.category):
                self._rows_of_category.setdefault(label, set()).add(row)
            if item.brand:
                self._rows_of_brand.setdefault(item.brand.casefold(), set()).add(row)
            if item.kind != "product":
                self._rows_of_kind[item.kind].add(row)
            if row >= len(self._prices):
                self._prices = np.concatenate([self._prices, np.full(len(self._prices), np.nan)])
            self._prices[row] = np.nan if item.price is None else item.price
            seen = item.first_seen_ms
            self.since_ms = seen if self.since_ms is None else min(self.since_ms, seen)
        self._masks.clear()

    def of_kind(self, kind: Literal["content", "ad"]) -> set[int]:
        """The rows of what is no product."""
        return self._rows_of_kind[kind]

    def mask(self, filters: Filters, kind: ItemKind = "product") -> Bools | None:
        """Which rows are of a kind and pass a filter, shape (items,); `None` where all are and do.

        A category passes by the name of any of its levels or by its path from the top. An item
        without a price passes no price filter.
        """
        only_products = not any(self._rows_of_kind.values())
        if filters == EVERYTHING and kind == "product" and only_products:
            return None
        known = self._masks.get((filters, kind))
        if known is not None:
            return known
        if kind == "product":
            mask: Bools = ~self._among(set().union(*self._rows_of_kind.values()))
        else:
            mask = self._among(self._rows_of_kind[kind])
        if filters.category is not None:
            mask &= self._among(self._rows_of_category.get(filters.category.casefold(), set()))
        if filters.brand is not None:
            mask &= self._among(self._rows_of_brand.get(filters.brand.casefold(), set()))
        prices = self._prices[: len(mask)]
        if filters.price_min is not None:
            mask &= prices >= filters.price_min
        if filters.price_max is not None:
            mask &= prices <= filters.price_max
        if len(self._masks) >= _MASKS_KEPT:
            self._masks.pop(next(iter(self._masks)))
        self._masks[filters, kind] = mask
        return mask

    def _among(self, rows: set[int]) -> Bools:
        mask: Bools = np.zeros(len(self.catalog), np.bool_)
        mask[np.fromiter(rows, np.int64, len(rows))] = True
        return mask

    def _forget(self, row: int, item: ItemVector) -> None:
        for label in category_labels(item.category):
            _drop(self._rows_of_category, label, row)
        if item.brand:
            _drop(self._rows_of_brand, item.brand.casefold(), row)
        if item.kind != "product":
            self._rows_of_kind[item.kind].discard(row)


def category_labels(path: tuple[str, ...]) -> set[str]:
    """The names under which a category is found: each level, and each path from the top.

    >>> sorted(category_labels(("Kitchen", "Tea")))
    ['kitchen', 'kitchen > tea', 'tea']
    """
    levels = [level.casefold() for level in path]
    return {*levels, *(PATH_SEPARATOR.join(levels[: end + 1]) for end in range(len(levels)))}


def _drop(rows_of: dict[str, set[int]], label: str, row: int) -> None:
    rows = rows_of.get(label)
    if rows is not None:
        rows.discard(row)
        if not rows:
            del rows_of[label]
