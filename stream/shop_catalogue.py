"""The catalogue of the simulated shop: items whose texts say what they are like."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random

import msgspec

from stream.events import Item
from stream.shop_shelves import SHELVES, STYLES, shelf_brands
from stream.shop_words import Made, ShopWords
from stream.shop_words_en import ENGLISH

SIMILAR = 6
"""Look-alikes that lead on from an item: fewer make the next click too easy to foretell."""

ACCESSORIES = 3


@dataclass
class Ware:
    """An item, and what the simulator knows about it."""

    item: Item
    shelf: int
    style: int
    brand: int
    quality: float
    weight: float
    similar: list[int] = field(default_factory=list)
    accessories: list[int] = field(default_factory=list)


class Catalogue:
    """All wares by number; new ones are appended, none is ever removed.

    >>> catalogue = Catalogue(Random(7), items=200)
    >>> ware = catalogue.wares[0]
    >>> ware.item.category, ware.item.title
    (('Kitchen', 'Tea'), 'Dunmore Peppermint Herbal Tea Tin 100 g')
    >>> catalogue.wares[ware.accessories[0]].item.category
    ('Kitchen', 'Teapots & Mugs')
    """

    def __init__(self, rng: Random, items: int, words: ShopWords = ENGLISH) -> None:
        self.words = words
        self._rng = rng
        self._titles: set[str] = set()
        self.wares: list[Ware] = []
        self.number: dict[str, int] = {}
        self.on_shelf: list[list[int]] = [[] for _ in SHELVES]
        self._shelf_of = {shelf.slug: at for at, shelf in enumerate(SHELVES)}
        for index in range(items):
            self._make(index % len(SHELVES))
        for number in range(items):
            self._connect(number)

    def add(self) -> Ware:
        """Put a new ware on some shelf: nobody knows it yet, but it is in the window."""
        number = self._make(self._rng.randrange(len(SHELVES)))
        self._connect(number)
        ware = self.wares[number]
        ware.weight = 2.0 * max(self.wares[other].weight for other in self.on_shelf[ware.shelf])
        for other in ware.similar[:3]:
            self.wares[other].similar[-1] = number
        return ware

    def famous(self, count: int) -> list[int]:
        """The heaviest wares on sale, by number."""
        on_sale = [n for n, ware in enumerate(self.wares) if ware.item.available]
        return heapq.nlargest(count, on_sale, key=lambda n: self.wares[n].weight)

    def drift(self) -> None:
        """Let some wares come into fashion and others go out: what is popular changes slowly."""
        for ware in self._rng.sample(self.wares, k=max(1, len(self.wares) // 50)):
            ware.weight = self._fresh_weight()

    def redraw_fame(self) -> None:
        """Draw anew what is in fashion, for all wares at once."""
        for ware in self.wares:
            ware.weight = self._fresh_weight()

    def set_price(self, number: int, price: float) -> Item:
        """Change a price and return the item's new record."""
        return self._replace(number, price=round(price, 2))

    def set_available(self, number: int, available: bool) -> Item:
        """Take an item off sale, or put it back, and return its new record."""
        return self._replace(number, available=available)

    def _replace(self, number: int, **changes: object) -> Item:
        ware = self.wares[number]
        ware.item = msgspec.structs.replace(ware.item, **changes)
        return ware.item

    def _fresh_weight(self) -> float:
        return self._rng.paretovariate(1.1)

    def _make(self, shelf_at: int) -> int:
        rng = self._rng
        shelf = SHELVES[shelf_at]
        said = self.words.shelves[shelf_at]
        style = rng.randrange(STYLES)
        brands = shelf_brands(shelf_at)
        brand_at = rng.randrange(len(brands))
        words = rng.choice(said.styles[style])
        noun, detail = rng.choice(said.nouns[style]), rng.choice(said.details)
        made = Made(self.words.brands[brands[brand_at]], words, noun, detail)
        others = [other for other in said.styles[style] if other != words]
        low, high = shelf.price
        step = min(1.0, max(0.0, rng.betavariate(2, 3) + (0.3 if brand_at == 0 else 0.0)))
        number = len(self.wares)
        item = Item(
            item_id=f"{shelf.slug}-{number:04d}",
            title=self._free_title(made),
            description=self.words.describe(made, said.use, others),
            category=said.path,
            brand=made.brand,
            price=round(low * (high / low) ** step, 2),
        )
        quality = rng.gauss(0.6 if brand_at == 0 else 0.0, 0.7)
        weight = self._fresh_weight()
        self.wares.append(Ware(item, shelf_at, style, brands[brand_at], quality, weight))
        self.number[item.item_id] = number
        self.on_shelf[shelf_at].append(number)
        return number

    def _free_title(self, made: Made) -> str:
        plain = title = self.words.title(made)
        mark = 2
        while title in self._titles:
            title, mark = self.words.another(plain, mark), mark + 1
        self._titles.add(title)
        return title

    def _connect(self, number: int) -> None:
        rng, ware = self._rng, self.wares[number]
        mates = [n for n in self.on_shelf[ware.shelf] if n != number]
        close = [n for n in mates if self.wares[n].style == ware.style]
        rng.shuffle(close)
        ware.similar = (close + rng.sample(mates, k=len(mates)))[:SIMILAR]
        shelf = self._shelf_of[SHELVES[ware.shelf].accessory]
        others = self.on_shelf[shelf]
        same = [n for n in others if self.wares[n].style == ware.style] or others
        ware.accessories = rng.sample(same, k=min(ACCESSORIES, len(same)))
