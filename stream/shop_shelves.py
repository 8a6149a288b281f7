"""The shelves of the simulated shop: what about them is the same in any language."""

from __future__ import annotations

from typing import NamedTuple

STYLES = 4
BRANDS = 14

ON_A_SHELF = 5
"""Brands that sell on each shelf; the first of them is the dear one."""


class Shelf(NamedTuple):
    """One category of the shop: its place among the others, and what things cost there."""

    slug: str
    department: str
    accessory: str
    """The slug of the shelf that holds what goes with its items."""
    price: tuple[float, float]


SHELVES: tuple[Shelf, ...] = (
    Shelf("tea", "kitchen", "teaware", (4, 28)),
    Shelf("teaware", "kitchen", "tea", (9, 85)),
    Shelf("coffee", "kitchen", "grinders", (7, 32)),
    Shelf("grinders", "kitchen", "coffee", (19, 260)),
    Shelf("headphones", "electronics", "speakers", (19, 380)),
    Shelf("speakers", "electronics", "headphones", (25, 420)),
    Shelf("cameras", "electronics", "photo", (69, 1900)),
    Shelf("photo", "electronics", "cameras", (12, 240)),
    Shelf("boots", "outdoor", "trekking", (59, 310)),
    Shelf("trekking", "outdoor", "boots", (9, 160)),
    Shelf("tents", "outdoor", "sleeping", (69, 640)),
    Shelf("sleeping", "outdoor", "tents", (29, 420)),
    Shelf("lamps", "home", "chairs", (18, 240)),
    Shelf("chairs", "home", "lamps", (79, 780)),
    Shelf("pots", "garden", "seeds", (6, 95)),
    Shelf("seeds", "garden", "pots", (2, 19)),
    Shelf("games", "toys", "puzzles", (14, 95)),
    Shelf("puzzles", "toys", "games", (9, 65)),
    Shelf("running", "sport", "yoga", (49, 260)),
    Shelf("yoga", "sport", "running", (8, 140)),
)


def shelf_brands(shelf: int) -> tuple[int, ...]:
    """List the brands of a shelf by number, the dear one first.

    >>> shelf_brands(0)
    (0, 3, 6, 9, 12)
    """
    return tuple((shelf * ON_A_SHELF + 3 * place) % BRANDS for place in range(ON_A_SHELF))
