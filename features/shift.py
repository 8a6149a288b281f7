"""Finding the moment at which a user's interest moves, from where and to where.

Every event of a user yields a divergence between short-term and long-term interest. A detector
(River's Page-Hinkley in production, see `features.drift_river`) says when it has risen for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec


class DetectorState(msgspec.Struct, frozen=True, array_like=True):
    """What a Page-Hinkley detector remembers between two values."""

    n: int = 0
    mean: float = 0.0
    summed: float = 0.0
    lowest: float = float("inf")


class Detector(Protocol):
    """A change detector whose state is a value, so that it can live in a user's profile."""

    def step(self, state: DetectorState, value: float) -> tuple[DetectorState, bool]:
        """Take one value; return the new state, and whether the values have risen for good."""


class ShiftState(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a user's shifts."""

    detector: DetectorState = DetectorState()
    divergence: float = 0.0
    cooldown: int = 0
    count: int = 0
    last_ms: int = 0
    last_to: str = ""


class Move(NamedTuple):
    """Where an interest moved from and to, and the newest items that say so."""

    from_category: str
    to_category: str
    evidence: tuple[str, ...]


def moved(usual: str, recent: Sequence[tuple[str, str]]) -> Move | None:
    """Tell from where to where an interest moved.

    Parameters
    ----------
    usual
        The category that the user usually looks at; empty if unknown.
    recent
        Item and category of the newest events, oldest first.

    Returns
    -------
    Move or None
        `None` if the newest events are mostly in the usual category after all. Where a shop has
        no categories, both names are empty and the newest items are the evidence.

    Examples
    --------
    >>> moved("Tea", [("t1", "Tea"), ("b1", "Bikes"), ("b2", "Bikes")])
    Move(from_category='Tea', to_category='Bikes', evidence=('b1', 'b2'))
    >>> moved("Tea", [("t1", "Tea"), ("b1", "Bikes"), ("t2", "Tea")]) is None
    True
    """
    counts: dict[str, int] = {}
    for _, category in recent:
        counts[category] = counts.get(category, 0) + 1
    # Of two categories that are equally frequent, the one seen last.
    latest = {category: place for place, (_, category) in enumerate(recent)}
    newest = max(counts, key=lambda name: (counts[name], latest[name]), default="")
    if newest == usual and newest:
        return None
    evidence = tuple(dict.fromkeys(item for item, category in recent if category == newest))
    return Move(usual, newest, evidence)
