"""What one shop knows and can be asked about: its items' fields, its reviews, its documents."""

from __future__ import annotations

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
    """A shop's knowledge, which follows its catalogue.

    Examples
    --------
    >>> from features.catalog import Catalog
    >>> index = ItemIndex(Catalog(width=2, texts=True))
    >>> knowledge = Knowledge(index)
    >>> index.upsert([ItemVector(item_id="pot", vector=b"", encoder="", text_hash="",
    ...                          first_seen_ms=0, title="Tea pot", brand="Betty",
    ...                          attributes={"weight": "1 kg"})])
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
        self._names = AttributeNames()
        self._named: dict[int, list[str]] = {}
        self._version = -1
        self._offered = Offered(Vocabulary(()), Vocabulary(()))
        self._offered_at = -1

    def item(self, item_id: str | None) -> ItemVector | None:
        """An item of the catalogue, withdrawn ones too: they may be asked about."""
        row = UNKNOWN if item_id is None else self.index.catalog.row(item_id)
        return None if row == UNKNOWN else self.index.catalog.item(row)

    @property
    def names(self) -> AttributeNames:
        """The names of all items' fields, as of now."""
        catalog = self.index.catalog
        if self._version != catalog.version:
            for row in catalog.changed_since(max(self._version, 0)).tolist():
                self._names.remove(self._named.get(row, ()))
                self._named[row] = known_names(catalog.item(row))
                self._names.add(self._named[row])
            self._version = catalog.version
        return self._names

    @property
    def offered(self) -> Offered:
        """The names of categories and brands, as of now."""
        catalog = self.index.catalog
        if self._offered_at != catalog.version:
            levels: dict[str, None] = {}
            brands: dict[str, None] = {}
            for row in range(len(catalog)):
                item = catalog.item(row)
                levels.update(dict.fromkeys(item.category))
                if item.brand:
                    brands[item.brand] = None
            self._offered = Offered(Vocabulary(levels), Vocabulary(brands))
            self._offered_at = catalog.version
        return self._offered
