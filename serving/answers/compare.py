"""Two items side by side, field by field, as their records say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from serving.answers.fields import Asked, Field, field_of, known_names
from stream.asked import Citation
from stream.tenants import plain

MOST_ROWS = 16
MOST_SHOWN = 1_000
"""Letters of a value: each is told three times, and a whole table has to fit a record."""

_TWO = 2
_FIRST = ("title", "price", "brand", "category", "available")
_PARTS = re.compile(
    r"\s+(?:and|or|with|to|vs\.?|versus|than|from|against)\s+|[,;]|和|与|跟|还是|比", re.IGNORECASE
)
_LEAD = re.compile(
    r"^\W*(?:please\s+)?(?:can you\s+|could you\s+)?(?:compare|comparison of|what(?:'s| is) the "
    r"differences? between|differences? between|(?:which|what)(?: one)? is "
    r"(?:better|cheaper|lighter|heavier|best)[:,]?|is|how does|请?比较(?:一下)?|对比(?:一下)?)\s*",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"^\W*(it|this|that|this one|the one|这个|这款|它)\W*$|"
    r"^\W*(this|that|it)\b.{0,30}$|^(这个|这款|它)",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"\b(them|these|those|both|the two|the first two|each other)\b|这两|它们|两个|两款",
    re.IGNORECASE,
)

Named = Callable[[str], Asked | None]
"""Finds the item that a few words name, if one is clearly meant."""


class Table(NamedTuple):
    """A comparison: rows of a name and two values, the items' names first; and where it stands."""

    rows: tuple[tuple[str, ...], ...]
    citations: tuple[Citation, ...]


def two_items(
    question: str, here: Asked | None, shown: Sequence[Asked], named: Named
) -> tuple[Asked, Asked] | None:
    """Which two items are to be compared.

    Parameters
    ----------
    here
        The item on whose page the question is asked.
    shown
        The items that the conversation was about last.
    named
        Finds an item by words of its title.
    """
    found: list[Asked] = []
    for part in _PARTS.split(_LEAD.sub("", question.strip(" ?？。.!！"))):
        if not part.strip():
            continue
        if here is not None and _POINTS.search(part):
            one: Asked | None = here
        else:
            one = named(part)
        if one is not None and all(one.item_id != other.item_id for other in found):
            found.append(one)
    if len(found) == 1 and here is not None and found[0].item_id != here.item_id:
        found.insert(0, here)
    if len(found) < _TWO and _BOTH.search(question):
        pool = [here, *shown] if here is not None else list(shown)
        found = list({one.item_id: one for one in pool}.values())
    return (found[0], found[1]) if len(found) >= _TWO else None


def table(first: Asked, second: Asked) -> Table:
    """What both say, then what one says; what differs comes before what is the same.

    >>> from stream.events import Item
    >>> one = Item(item_id="a", title="A", price=9.0, attributes={"weight": "1 kg", "lid": True})
    >>> other = Item(item_id="b", title="B", price=9.0, attributes={"weight": "2 kg"})
    >>> table(one, other).rows
    (('', 'A', 'B'), ('price', '9', '9'), ('available', 'yes', 'yes'), ('weight', '1 kg', '2 kg'), \
('lid', 'yes', ''))
    """
    names = list(dict.fromkeys([*known_names(first), *known_names(second)]))
    fields = {name: (field_of(first, name), field_of(second, name)) for name in names}

    def order(name: str) -> tuple[int, bool, bool, str]:
        left, right = fields[name]
        own = _FIRST.index(name) if name in _FIRST else len(_FIRST)
        both = left is not None and right is not None
        same = left is not None and right is not None and left.value == right.value
        return own, not both, same, name

    rows: list[tuple[str, ...]] = []
    citations: list[Citation] = []
    for name in sorted(fields, key=order)[: MOST_ROWS + 1]:
        left, right = fields[name]
        label = "" if name == "title" else next(f.label for f in (left, right) if f is not None)
        rows.append((label, _shown(left), _shown(right)))
        for item, field in ((first, left), (second, right)):
            if field is not None:
                citations.append(cite_field(item, field, MOST_SHOWN))
    return Table(tuple(rows), tuple(citations))


def cite_field(item: Asked, field: Field, most: int | None = None) -> Citation:
    """Where a field's value stands: it is quoted whole, or its first so many letters."""
    quote = field.source[:most]
    return Citation(
        source="item",
        id=plain(item.item_id),
        field=field.path,
        start=0,
        end=len(quote),
        quote=quote,
    )


def _shown(field: Field | None) -> str:
    return "" if field is None else field.value[:MOST_SHOWN]
