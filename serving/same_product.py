"""Which items are one product in another colour or size, and which are of one category.

A shop that lists each colour as an item of its own would fill lists with one shirt. Two items are
the same product where brand, category and title agree but for words of colour and clothes' sizes.
Amounts, capacities and model numbers are part of what a product is.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from stream.events import ItemVector

_COLOURS = frozenset(
    """
    amber anthracite apricot aqua azure beige black blue bordeaux bronze brown burgundy charcoal
    champagne chrome copper coral cream crimson cyan fuchsia gold golden gray graphite green grey
    indigo ivory khaki lavender lilac lime magenta maroon mauve mint multicolor multicolour mustard
    navy nude ochre olive orange peach petrol pink platinum plum purple red rose ruby rust salmon
    sand sapphire scarlet silver tan taupe teal terracotta turquoise violet white yellow
    schwarz weiß weiss rot blau grün gruen gelb grau braun rosa lila silber türkis
    noir noire blanc blanche rouge bleu bleue vert verte jaune gris grise marron
    negro negra blanco blanca rojo roja azul verde amarillo amarilla
    light dark pale deep bright hell dunkel hellblau dunkelblau hellgrün dunkelgrün
    """.split()
)
_ZH_COLOUR = re.compile(r"[浅深亮暗]?[黑白红蓝绿黄灰棕紫粉橙银金米青](?:色|款)|彩色")
_SIZES = frozenset("xxs xs xl xxl xxxl 2xl 3xl 4xl 5xl".split())
_LETTERS = frozenset("s m l".split())
_WORD = re.compile(r"\w+(?:[.,]\w+)*")

NO_CODE = -1
"""An item without a title, or without a category, is alike to none."""


class Codes(NamedTuple):
    """Numbers by row of the catalogue, equal where items are alike; -1 is alike to nothing."""

    product_I: NDArray[np.int32]
    category_I: NDArray[np.int32]


class Alike:
    """Codes of a catalogue's rows, kept in step with it.

    Examples
    --------
    >>> catalog = Catalog(width=2)
    >>> catalog.upsert([
    ...     ItemVector(item_id=title, title=title, vector=b"", encoder="", text_hash="",
    ...                first_seen_ms=0, brand="Ajax", category=("Clothes", "Shirts"))
    ...     for title in ("Linen shirt, light blue, M", "Linen shirt white XL", "Wool shirt white")
    ... ])
    >>> codes = Alike(catalog).codes()
    >>> codes.product_I.tolist(), codes.category_I.tolist()
    ([0, 0, 1], [0, 0, 0])
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._version = -1
        self._product_I = np.full(0, NO_CODE, np.int32)
        self._category_I = np.full(0, NO_CODE, np.int32)
        self._products: dict[tuple[object, ...], int] = {}
        self._categories: dict[tuple[str, ...], int] = {}

    def codes(self) -> Codes:
        """The codes as the catalogue is now."""
        catalog, items = self._catalog, len(self._catalog)
        if self._version != catalog.version:
            more = np.full(max(0, items - len(self._product_I)), NO_CODE, np.int32)
            self._product_I = np.concatenate([self._product_I, more])
            self._category_I = np.concatenate([self._category_I, more])
            for row in catalog.changed_since(self._version).tolist():
                self._code(row, catalog.item(row))
            self._version = catalog.version
        return Codes(self._product_I, self._category_I)

    def _code(self, row: int, item: ItemVector) -> None:
        name = product_name(item.title)
        product = (name, item.brand.casefold(), item.category)
        path = item.category
        known, kinds = self._products, self._categories
        self._product_I[row] = known.setdefault(product, len(known)) if name else NO_CODE
        self._category_I[row] = kinds.setdefault(path, len(kinds)) if path else NO_CODE


def product_name(title: str) -> str:
    """A title without words of colour and clothes' sizes; empty where nothing else is said.

    >>> product_name("Cast iron Tea Pot, dark red 1.2 l"), product_name("棉质衬衫深蓝色")
    ('cast iron tea pot 1.2 l', '棉质衬衫')
    >>> product_name("Trail Shoe 42 Black/White - L"), product_name("Model S charger")
    ('trail shoe 42', 'model s charger')
    """
    plain = unicodedata.normalize("NFKC", title).casefold()
    words = _WORD.findall(_ZH_COLOUR.sub(" ", plain))
    while words and words[-1] in _LETTERS:
        # At the end it is a size, unless it is the unit of a number.
        if len(words) > 1 and words[-2][0].isdigit():
            break
        words.pop()
    return " ".join(word for word in words if word not in _COLOURS and word not in _SIZES)
