"""The catalogue of the simulated shop: items whose texts say what they are like."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random

import msgspec

from stream.events import Item
from stream.shop_words import BRANDS, SHELVES, Shelf

STYLES = 4
SIMILAR = 6
"""Look-alikes that lead on from an item: fewer make the next click too easy to foretell."""

ACCESSORIES = 3


@dataclass
class Ware:
    """An item, and what the simulator knows about it."""

    item: Item
    shelf: int
    style: int
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

    def __init__(self, rng: Random, items: int) -> None:
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
        style = rng.randrange(STYLES)
        brands = shelf_brands(shelf_at)
        brand_at = rng.randrange(len(brands))
        words = rng.choice(shelf.styles[style])
        noun, detail = rng.choice(shelf.nouns[style]), rng.choice(shelf.details)
        title = f"{brands[brand_at]} {words} {noun} {detail}"
        mark = 2
        while title in self._titles:
            title, mark = f"{brands[brand_at]} {words} {noun} {detail} No. {mark}", mark + 1
        self._titles.add(title)
        low, high = shelf.price
        step = min(1.0, max(0.0, rng.betavariate(2, 3) + (0.3 if brand_at == 0 else 0.0)))
        number = len(self.wares)
        item = Item(
            item_id=f"{shelf.slug}-{number:04d}",
            title=title,
            description=_describe(shelf, words, noun, brands[brand_at], style),
            category=shelf.path,
            brand=brands[brand_at],
            price=round(low * (high / low) ** step, 2),
        )
        quality = rng.gauss(0.6 if brand_at == 0 else 0.0, 0.7)
        self.wares.append(Ware(item, shelf_at, style, quality, self._fresh_weight()))
        self.number[item.item_id] = number
        self.on_shelf[shelf_at].append(number)
        return number

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


def shelf_brands(shelf: int) -> tuple[str, ...]:
    """List the five brands of a shelf, the dear one first.

    >>> shelf_brands(0)
    ('Alderwood', 'Dunmore', 'Greyfell', 'Juniper Co', 'Marlowe')
    """
    return tuple(BRANDS[(shelf * 5 + 3 * place) % len(BRANDS)] for place in range(5))


def _describe(shelf: Shelf, words: str, noun: str, brand: str, style: int) -> str:
    others = ", ".join(other.lower() for other in shelf.styles[style] if other != words)
    return (
        f"{words} {noun.lower()} by {brand}, made for {shelf.use}. "
        f"For those who like {words.lower()}, {others}."
    )
