"""What one shop knows and can be asked about: its items' fields, its reviews, its documents."""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

from features.catalog import UNKNOWN
from serving.answers.attributes import AttributeNames
from serving.answers.documents import DocumentBook
from serving.answers.fields import known_names
from serving.answers.review_book import ReviewBook
from serving.answers.wishes import Offered, Vocabulary
from serving.index import ItemIndex
from stream.events import ItemVector


class Limits(NamedTuple):
    """How much is kept of what shoppers write."""

    reviews_per_item: int = 50
    review_bytes: int = 256 << 20


class Knowledge:
    """A shop's knowledge, which follows its catalogue: a slice at a time, where it is large.

    Attributes
    ----------
    names
        Of all items' fields.
    offered
        The names of categories and brands; of those that are gone, too: they find nothing.

    Examples
    --------
    >>> from features.catalog import Catalog
    >>> index = ItemIndex(Catalog(width=2, texts=True))
    >>> index.upsert([ItemVector(item_id="pot", vector=b"", encoder="", text_hash="",
    ...                          first_seen_ms=0, title="Tea pot", brand="Betty",
    ...                          attributes={"weight": "1 kg"})])
    >>> knowledge = Knowledge(index)
    >>> knowledge.item("pot").title, len(knowledge.names), knowledge.item("pan")
    ('Tea pot', 4, None)
    >>> knowledge.offered.brands.longest("one by Betty")
    'Betty'
    """

    def __init__(self, index: ItemIndex, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.index = index
        self.reviews = ReviewBook(limits.reviews_per_item, limits.review_bytes)
        self.documents = DocumentBook()
        self.names = AttributeNames()
        self.offered = Offered(Vocabulary(()), Vocabulary(()))
        self._named: dict[int, list[str]] = {}
        self._waiting: dict[int, None] = {}
        self._version = -1
        self.follow()

    def item(self, item_id: str | None) -> ItemVector | None:
        """An item of the catalogue, withdrawn ones too: they may be asked about."""
        row = UNKNOWN if item_id is None else self.index.catalog.row(item_id)
        return None if row == UNKNOWN else self.index.catalog.item(row)

    def follow(self, budget_s: float = float("inf")) -> int:
        """Take the names of new and changed items in; says how many items still wait to be."""
        catalog = self.index.catalog
        if self._version != catalog.version:
            self._waiting.update(dict.fromkeys(catalog.changed_since(self._version).tolist()))
            self._version = catalog.version
        end_s = time.monotonic() + budget_s
        while self._waiting:
            self._take(self._waiting.popitem()[0])
            if time.monotonic() >= end_s:
                break
        return len(self._waiting)

    def _take(self, row: int) -> None:
        item = self.index.catalog.item(row)
        self.names.remove(self._named.get(row, ()))
        # The same few names come with every item: each is kept once.
        self._named[row] = [sys.intern(name) for name in known_names(item)]
        self.names.add(self._named[row])
        for level in item.category:
            self.offered.categories.add(level)
        if item.brand:
            self.offered.brands.add(item.brand)
