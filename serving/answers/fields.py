"""What an item's record says, field by field, as it may be asked for and quoted."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from stream.events import AttributeValue


class Asked(Protocol):
    """An item, as `Item` and `ItemVector` are one."""

    @property
    def item_id(self) -> str:
        """Its id."""

    @property
    def title(self) -> str:
        """Its title."""

    @property
    def description(self) -> str:
        """Its description."""

    @property
    def category(self) -> tuple[str, ...] | str:
        """Its category as a path."""

    @property
    def brand(self) -> str:
        """Its brand."""

    @property
    def price(self) -> float | None:
        """Its price."""

    @property
    def available(self) -> bool:
        """Whether it can be had."""

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """The shop's own fields."""


class Field(NamedTuple):
    """A field of an item: its name in the record, how it is called, and what it says."""

    path: str
    label: str
    value: str
    source: str
    """As it stands in the record: what a quotation is verbatim of."""


def field_of(item: Asked, name: str) -> Field | None:
    """A field by the name that `fields.known_names` gives it; `None` where the record lacks it.

    >>> from stream.events import Item
    >>> pot = Item(item_id="pot", price=39.0, attributes={"Weight": 1.5, "lid": True})
    >>> field_of(pot, "weight"), field_of(pot, "lid").value, field_of(pot, "price").value
    (Field(path='attributes.Weight', label='Weight', value='1.5', source='1.5'), 'yes', '39')
    >>> field_of(pot, "brand") is None
    True
    """
    found: AttributeValue | None = None
    label, path = name, name
    if name in _OWN:
        found = _own(item, name)
    if found is None or found == "":
        for own, value in item.attributes.items():
            if normal(own) == name:
                label, path, found = own, f"attributes.{own}", value
                break
    if found is None or found == "":
        return None
    return Field(path, label, shown(found), source_text(found))


def is_truth(field: Field) -> bool:
    """Whether a field only says yes or no."""
    return field.source in {"true", "false"} and field.value in {"yes", "no"}


_EXACT = 1e15
"""Whole numbers below this have all their digits in a float."""

_OWN = ("title", "brand", "category", "price", "available")
"""The record's own, in the order in which they are told."""


def known_names(item: Asked) -> list[str]:
    """The names of the fields that an item has, those of the record first, each once.

    >>> from stream.events import Item
    >>> known_names(Item(item_id="pot", brand="Betty", attributes={"Cable_Length ": 1.0}))
    ['brand', 'available', 'cable length']
    """
    own = [name for name in _OWN if _own(item, name) not in (None, "")]
    return list(dict.fromkeys([*own, *(normal(name) for name in item.attributes)]))


def normal(name: str) -> str:
    """A name in lower case, with single spaces instead of marks.

    >>> normal("Display_resolution (max.)")
    'display resolution max'
    """
    return " ".join("".join(c if c.isalnum() else " " for c in name.casefold()).split())


def shown(value: AttributeValue) -> str:
    """A value as a shopper reads it: whole numbers without a point."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return source_text(value)


def source_text(value: AttributeValue) -> str:
    """A value as it stands in the record."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)


def _own(item: Asked, name: str) -> AttributeValue | None:
    if name == "category":
        path = item.category
        return path if isinstance(path, str) else " > ".join(path)
    if name == "price":
        return None if item.price is None else float(item.price)
    value: str | bool = getattr(item, name)
    return value
