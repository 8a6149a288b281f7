"""Interests worked out anew, in double precision and with another factorisation.

They agree with the profile's, which rounds to half precision after every event, up to `TOLERANCE`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.interest import InterestConfig
from stream.events import Event, ItemVector, decode_item_vector
from tests.chaos.topic_log import Logged

TOLERANCE = 0.01
"""Of an entry of a unit vector. Rounding leaves under 0.002; a missed event moves it by 0.1."""

WIDTH = 64
_CONFIG = InterestConfig()
_GRID = 2.0**-14

Vector = NDArray[np.float64]


@cache
def _projection(width: int) -> Vector:
    """Orthonormal columns that span what the seeded normal matrix spans, in its order."""
    rows, columns = max(width, WIDTH), min(width, WIDTH)
    normal = np.random.RandomState(20_240_229).standard_normal((rows, columns))
    basis, triangle = np.linalg.qr(normal)
    basis = np.round(basis * np.sign(np.diag(triangle)) / _GRID) * _GRID
    return basis if width >= WIDTH else basis.T


class Items:
    """A catalogue as it was before the first event; `known` is false where it is empty."""

    def __init__(self, records: Iterable[Logged] = ()) -> None:
        self._items: dict[str, ItemVector] = {}
        self._pulls: dict[str, Vector | None] = {}
        for record in records:
            if record.value is not None:
                item = decode_item_vector(record.value)
                self._items[item.item_id] = item
        self.known = bool(self._items)

    def __contains__(self, item_id: str) -> bool:
        """Whether the catalogue has the item."""
        return item_id in self._items

    def price(self, item_id: str) -> float | None:
        """What the catalogue says that it costs."""
        item = self._items.get(item_id)
        return item.price if item else None

    def category(self, item_id: str) -> str:
        """Its path of categories as one name, cut."""
        item = self._items.get(item_id)
        return " > ".join(item.category)[:96] if item else ""

    def brand(self, item_id: str) -> str:
        """Its brand, cut."""
        item = self._items.get(item_id)
        return item.brand[:96] if item else ""

    def direction(self, item_id: str) -> Vector | None:
        """Where an event of the item pulls."""
        if item_id not in self._pulls:
            self._pulls[item_id] = self._direction(item_id)
        return self._pulls[item_id]

    def _direction(self, item_id: str) -> Vector | None:
        item = self._items.get(item_id)
        if item is None or not item.vector:
            return None
        text = np.frombuffer(item.vector, "<f2").astype(np.float64)
        projected = text @ _projection(len(text))
        norm = np.linalg.norm(projected)
        return projected / norm if norm > 0 else None


class Taste:
    """The two vectors of a user, and what they like by name."""

    def __init__(self) -> None:
        self.short: Vector | None = None
        self.long: Vector | None = None
        self.categories: dict[str, int] = {}
        self.brands: dict[str, int] = {}
        self._pulls = 0.0

    @property
    def divergence(self) -> float:
        """One less the cosine of the two."""
        if self.short is None or self.long is None:
            return 0.0
        norms = np.linalg.norm(self.short) * np.linalg.norm(self.long)
        return float(1 - self.short @ self.long / norms) if norms > 0 else 0.0

    def pulled_by(self, event: Event, items: Items, later: int) -> None:
        """Move towards an event's item; `later` known events are after it in time."""
        weight = _weight(event)
        self.categories = _liked(self.categories, items.category(event.item_id), weight)
        self.brands = _liked(self.brands, items.brand(event.item_id), weight)
        towards = items.direction(event.item_id)
        if towards is None or weight <= 0:
            return
        self._pulls += weight
        if self.short is None or self.long is None:
            self.short = self.long = towards
            return
        self.short = self._moved(self.short, towards, _CONFIG.short_half_life_events, weight, later)
        self.long = self._moved(self.long, towards, _CONFIG.long_half_life_events, weight, later)

    def _moved(
        self, old: Vector, towards: Vector, half_life: float, weight: float, later: int
    ) -> Vector:
        kept = 2 ** (-1 / half_life)
        rate = max(1 - kept, 1 / (1 + self._pulls))
        return old + (towards - old) * weight * rate * kept**later


def favourite(liked: dict[str, int]) -> str:
    """What is liked most, of equals the last by name."""
    best = max(liked.values(), default=0)
    return max((name for name, value in liked.items() if value == best), default="")


def _weight(event: Event) -> float:
    if event.kind == "review":
        return _CONFIG.weight_review * ((3.0 if event.rating is None else event.rating) - 1) / 4
    weights: dict[str, Any] = {
        "view": _CONFIG.weight_view,
        "click": _CONFIG.weight_click,
        "cart": _CONFIG.weight_cart,
        "purchase": _CONFIG.weight_purchase,
    }
    return float(weights[event.kind])


def _liked(liked: dict[str, int], name: str, weight: float) -> dict[str, int]:
    """Thousandths, of which 3 % fade with every named event; the eight largest stay."""
    if not name:
        return liked
    faded = {other: value * 97 // 100 for other, value in liked.items()}
    faded[name] = faded.get(name, 0) + round(weight * 1000)
    if len(faded) > 8:
        least = min((value, other) for other, value in faded.items() if other != name)
        del faded[least[1]]
    return faded
