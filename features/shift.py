"""Finding the moment at which a user's interest moves, from where and to where.

Two witnesses are heard at every event of a user:

- **the newest events**: how much likelier they are if the interest has moved to what this event is
  about than if the user goes on as before (`evidence`, a likelihood ratio over the last events);
- **the two interest vectors**: whether the divergence between short-term and long-term interest has
  risen for good (River's Page-Hinkley in production, see `features.drift_river`).

The first can convince alone; when the second agrees, less is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import NamedTuple, Protocol

import msgspec


class DetectorState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a Page-Hinkley detector remembers between two values."""

    n: int = 0
    mean: float = 0.0
    summed: float = 0.0
    lowest: float = float("inf")


class Detector(Protocol):
    """A change detector whose state is a value, so that it can live in a user's profile."""

    def step(self, state: DetectorState, value: float) -> tuple[DetectorState, bool]:
        """Take one value; return the new state, and whether the values have risen for good."""


class ShiftState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is remembered of a user's shifts."""

    detector: DetectorState = DetectorState()
    divergence: float = 0.0
    cooldown: int = 0
    count: int = 0
    last_ms: int = 0
    last_to: str = ""
    agreed: int = 0
    """Events for which a rise of the divergence still counts."""


NEW_SHARE = 0.35
"""Of a moved user's events, those that are taken to be drawn from the new interest; the rest are as
before. Far less than shoppers show: what leads them elsewhere isn't evidence against a move."""

PRIOR_EVENTS, PRIOR_LIKE = 4.0, 0.25
"""What is assumed of every interest before anything was seen: four events, one of them of its kind.
With less, two events on something never seen would be a shift."""

LEAST_RECENT, LEAST_PAST = 3, 8
"""Events on each side of a change, without which there is nothing to compare."""


def evidence(like_T: Sequence[float], recent: int, least: float = 0.0) -> float:
    """How much the newest events speak for a move to what the newest is about, in nats.

    The generalised likelihood ratio of a change in the last `recent` events [1]_: before it, events
    like the newest one came with a share that the user's past shows; since then, with at least
    `NEW_SHARE`. The moment of the change is the one that explains the events best.

    Parameters
    ----------
    like_T
        How much each of the user's events, oldest first, is like the newest: from 0 to 1.
    recent
        How long ago the change may be, in events.
    least
        Evidence below this may be given as 0, which is found out sooner.

    Examples
    --------
    >>> tea, bikes = [0.0] * 20, [1.0] * 6
    >>> round(evidence(tea + bikes, recent=10), 1)
    13.2
    >>> round(evidence([0.0, 1.0] * 10 + bikes, recent=10), 1)
    2.6

    References
    ----------
    .. [1] Lorden, Procedures for reacting to a change in distribution, Ann. Math. Statist., 1971.
    """
    length, since, best = len(like_T), 0.0, 0.0
    # As if `PRIOR_EVENTS` more had come before the first.
    total = sum(like_T) + PRIOR_EVENTS * PRIOR_LIKE
    for back in range(1, min(recent, length - LEAST_PAST) + 1):
        since += like_T[-back]
        if back < LEAST_RECENT:
            continue
        usual = (total - since) / (length - back + PRIOR_EVENTS)
        # No more than if all of them were equally like (Jensen), which is quick to tell.
        most = back * log(1 - NEW_SHARE + NEW_SHARE * since / (back * usual))
        if most + _ROUNDING < max(best, least):
            continue
        counts: dict[float, int] = {}
        for like in like_T[-back:]:
            counts[like] = counts.get(like, 0) + 1
        ratio = sum(n * log(1 - NEW_SHARE + NEW_SHARE * x / usual) for x, n in counts.items())
        best = max(best, ratio)
    return best


_ROUNDING = 1e-6


class Move(NamedTuple):
    """Where an interest moved from and to, and the newest items that say so."""

    from_category: str
    to_category: str
    evidence: tuple[str, ...]


def moved(past: Sequence[str], recent: Sequence[tuple[str, str]]) -> Move | None:
    """Tell from where to where an interest moved.

    Parameters
    ----------
    past
        The categories of the events before the newest ones, oldest first.
    recent
        Item and category of the newest events, oldest first: the last says where the user is now.

    Returns
    -------
    Move or None
        `None` if the user is where most past events were. Where a shop has no categories, both
        names are empty and the newest items are the evidence.

    Examples
    --------
    >>> moved(["Tea", "Tea"], [("t1", "Tea"), ("b1", "Bikes"), ("b2", "Bikes")])
    Move(from_category='Tea', to_category='Bikes', evidence=('b1', 'b2'))
    >>> moved(["Tea", "Tea"], [("b1", "Bikes"), ("t2", "Tea")]) is None
    True
    """
    counts: dict[str, int] = {}
    for category in past:
        counts[category] = counts.get(category, 0) + 1
    # Of two categories that are equally frequent, the one seen last.
    latest = {category: place for place, category in enumerate(past)}
    usual = max(counts, key=lambda name: (counts[name], latest[name]), default="")
    now = recent[-1][1]
    if now == usual and now:
        return None
    return Move(usual, now, tuple(dict.fromkeys(item for item, name in recent if name == now)))
