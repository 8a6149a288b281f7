"""The words of the simulated shop, in one language: what its shelves, brands and reviews say.

Each shelf has four styles, and a style's words stand in the titles of its items and in no other's:
two items of one style have similar texts, so a text encoder sees what a shopper sees.

Two languages have as many words in every place (the tests hold them to it), so that the shop draws
the same numbers in each of them: the same seed gives the same events, only their texts differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from stream.shop_shelves import SHELVES

Language = Literal["en", "zh"]


class Made(NamedTuple):
    """What the texts of an item are made from."""

    brand: str
    words: str
    noun: str
    detail: str


class ShelfWords(NamedTuple):
    """What is said on one shelf.

    `nouns` and `styles` have a group for each style. `use` says what its items are for.
    """

    path: tuple[str, str]
    nouns: tuple[tuple[str, ...], ...]
    styles: tuple[tuple[str, ...], ...]
    details: tuple[str, ...]
    use: str


class ShopWords(NamedTuple):
    """Everything that the shop says in one language.

    `praise` and `headlines` are what shoppers write, by the stars that they give.
    """

    shelves: tuple[ShelfWords, ...]
    """In the order of `SHELVES`."""
    brands: tuple[str, ...]
    praise: Mapping[int, tuple[str, ...]]
    headlines: Mapping[int, tuple[str, ...]]
    title: Callable[[Made], str]
    another: Callable[[str, int], str]
    """The title of an item whose title is taken, and which try this is, from 2."""
    describe: Callable[[Made, str, Sequence[str]], str]
    """From what an item is made, what it is for, and the other words of its style."""


def shelf(slug: str, *words: str, use: str) -> tuple[str, ShelfWords]:
    """Make the words of a shelf from four texts: its path, nouns, styles, and details.

    Bars stand between styles, commas between words; nouns without a bar are those of every style.

    >>> shelf("tea", "Kitchen > Tea", "Tin, Bag", "Jasmine | Assam", "100 g", use="a cup")[1].nouns
    (('Tin', 'Bag'), ('Tin', 'Bag'))
    """
    path, nouns, styles, details = words
    department, name = path.split(" > ")
    cut_nouns, cut_styles = _cut(nouns), _cut(styles)
    return slug, ShelfWords(
        (department, name),
        cut_nouns if len(cut_nouns) > 1 else cut_nouns * len(cut_styles),
        cut_styles,
        _cut(details)[0],
        use,
    )


def in_order(*shelves: tuple[str, ShelfWords]) -> tuple[ShelfWords, ...]:
    """Put the words of all shelves in the order of `SHELVES`."""
    by_slug = dict(shelves)
    return tuple(by_slug[each.slug] for each in SHELVES)


def _cut(text: str) -> tuple[tuple[str, ...], ...]:
    """Cut at bars, then at commas: one group for each style, or one for all of them."""
    return tuple(tuple(word.strip() for word in group.split(",")) for group in text.split("|"))
