"""The people of the simulated shop: their tastes, and how a taste picks an item.

A shopper has a main interest, which most visits are about, and a side interest, at which most
visits glance again and again. Some visits are looks into the side interest alone, or at anything
there is; such visits are short. When the main interest moves, the next visit is about the new one,
and often the one after it; from then on visits are drawn as ever, so that side interest, looking
around, reviews of what was bought for the old interest, and what is famous stand between the events
that tell of the move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from stream.shop_catalogue import Catalogue, Ware
from stream.shop_shelves import SHELVES, STYLES, shelf_brands

MAIN_SHARE, SIDE_SHARE = 0.8, 0.1
"""How often a visit is about the main and the side interest; the rest is looking around."""

FRESH_VISITS = (1, 2)
"""Visits about a new main interest before any other: what made it new is still to be bought."""

STYLE_FACTOR = 5.0
BRAND_FACTOR = 2.5


class PlantedShift(NamedTuple):
    """A shopper's interest moved: what a detector should find, and when.

    `event` is the number of clean events (bots, duplicates and broken records not counted) that
    the shop had sent before, `user_events` how many of them were this shopper's.
    """

    user_id: str
    event: int
    ts_ms: int
    user_events: int
    from_category: tuple[str, ...]
    to_category: tuple[str, ...]


@dataclass
class Shopper:
    """Who someone is: a main and a side interest, a style on each shelf, a brand, a purse."""

    user_id: str
    activity: float
    main: int
    side: int
    style_on: list[int]
    brand_on: list[int]
    purse: float
    follows_fashion: float
    events: int = 0
    events_at_shift: int = 0
    fresh_visits: int = 0
    owned: set[int] = field(default_factory=set)
    to_review: list[int] = field(default_factory=list)
    shown: tuple[str, Sequence[int]] | None = None
    """The newest recommendation that the shopper saw: its id and its wares."""

    def topic(self, rng: Random) -> int:
        """Draw what a visit is about."""
        if self.fresh_visits:
            self.fresh_visits -= 1
            return self.main
        draw = rng.random()
        if draw < MAIN_SHARE:
            return self.main
        return self.side if draw < MAIN_SHARE + SIDE_SHARE else rng.randrange(len(SHELVES))

    def liking(self, ware: Ware) -> float:
        """How much the shopper likes a ware, its fame included."""
        score = float(ware.weight**self.follows_fashion)
        if ware.style == self.style_on[ware.shelf]:
            score *= STYLE_FACTOR
        if ware.brand == self.brand_on[ware.shelf]:
            score *= BRAND_FACTOR
        low, high = SHELVES[ware.shelf].price
        dear = ((ware.item.price or low) - low) / (high - low)
        return score * (0.3 + max(0.0, 1.0 - 2.0 * abs(dear - self.purse)))

    def pick(self, rng: Random, catalogue: Catalogue, numbers: Sequence[int]) -> int | None:
        """Draw one of some wares by liking; `None` where none of them is on sale."""
        wares = catalogue.wares
        numbers = [number for number in numbers if wares[number].item.available]
        if not numbers:
            return None
        return rng.choices(numbers, [self.liking(wares[number]) for number in numbers])[0]

    def wants(self, ware: Ware) -> bool:
        """Whether a recommendation of this ware is to the point."""
        return ware.shelf in (self.main, self.side) and ware.item.available

    def stars(self, rng: Random, ware: Ware) -> int:
        """Rate a ware: its quality counts, and whether it is to the shopper's taste."""
        taste = 0.5 if ware.style == self.style_on[ware.shelf] else -0.3
        return min(5, max(1, round(3.7 + ware.quality + taste + rng.gauss(0, 0.6))))

    def shift(self, rng: Random, fame: Sequence[float] | None = None) -> tuple[int, int]:
        """Move the main interest to another department; returns the old shelf and the new one.

        With `fame`, one value for each shelf, the wanted shelves gain most.
        """
        old = self.main
        away = [
            shelf
            for shelf in range(len(SHELVES))
            if SHELVES[shelf].department
            not in (SHELVES[old].department, SHELVES[self.side].department)
        ]
        self.main = (
            rng.choice(away) if fame is None else rng.choices(away, [fame[s] for s in away])[0]
        )
        self.events_at_shift = self.events
        self.fresh_visits = rng.choice(FRESH_VISITS)
        return old, self.main


def shelf_fame(rng: Random) -> list[float]:
    """Draw how much each shelf is wanted: the first some eight times as much as the last."""
    shelves = range(len(SHELVES))
    order = rng.sample(shelves, k=len(shelves))
    return [1.0 / (1 + order[shelf]) ** 0.7 for shelf in shelves]


def make_shoppers(rng: Random, count: int) -> list[Shopper]:
    """Draw the shoppers: some shelves have many friends, and some shoppers come often.

    >>> shoppers = make_shoppers(Random(7), 3)
    >>> [shopper.user_id for shopper in shoppers]
    ['shopper-0000', 'shopper-0001', 'shopper-0002']
    """
    shelves = range(len(SHELVES))
    fame = shelf_fame(rng)
    shoppers = []
    for number in range(count):
        main = rng.choices(shelves, fame)[0]
        side = rng.choice([shelf for shelf in shelves if shelf != main])
        shoppers.append(
            Shopper(
                user_id=f"shopper-{number:04d}",
                activity=rng.paretovariate(1.6),
                main=main,
                side=side,
                style_on=[rng.randrange(STYLES) for _ in shelves],
                brand_on=[rng.choice(shelf_brands(shelf)) for shelf in shelves],
                purse=rng.betavariate(2, 3),
                follows_fashion=rng.uniform(0.6, 1.1),
            )
        )
    return shoppers
