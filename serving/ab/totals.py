"""What the users of each variant were shown and did, added up from `outcomes`.

A list that somebody clicks is told of at once, one that is passed over only when its window closes:
whoever counted all that is told would count the lucky ones first. So only lists count whose window
is over, and of these all: none that is newer than all that is known to be passed over, as windows
stay open while nothing happens in the shop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.events import Outcome
from stream.tenants import inside

Floats = NDArray[np.float64]

Measure = Literal["ctr", "cvr", "revenue"]
"""Of shown lists: the share with an item taken, the share with one bought, what was earned."""

MEASURES: tuple[Measure, ...] = ("ctr", "cvr", "revenue")


class Totals(NamedTuple):
    """One variant's users, a row each."""

    lists_U: Floats
    done: Mapping[Measure, Floats]

    @property
    def users(self) -> int:
        """How many users were shown anything."""
        return len(self.lists_U)


class _List:
    """What became of one list so far."""

    __slots__ = ("bought", "shown_ms", "taken", "user", "variant", "worth")

    def __init__(self, user: str, variant: str, shown_ms: int) -> None:
        self.user, self.variant, self.shown_ms = user, variant, shown_ms
        self.taken = False
        self.bought: set[str] = set()
        self.worth = 0.0


def totals_of(
    outcomes: Iterable[Outcome], variants: Sequence[str], closed_before_ms: int
) -> dict[str, Totals]:
    """Add up what was done to lists shown before a time, for each variant.

    Records may repeat and come in any order; other variants than the named ones are left out.
    """
    lists: dict[str, _List] = {}
    closed_ms = -1
    for one in outcomes:
        if one.final and not one.taken:
            closed_ms = max(closed_ms, one.shown_ms)
        if one.shown_ms >= closed_before_ms or one.variant not in variants:
            continue
        shown = lists.setdefault(
            one.recommendation_id, _List(_whole(one), one.variant, one.shown_ms)
        )
        shown.taken |= one.taken
        if one.bought_ms is not None and one.item_id not in shown.bought:
            shown.bought.add(one.item_id)
            shown.worth += (one.price or 0.0) * one.quantity
    told = [shown for shown in lists.values() if shown.shown_ms <= closed_ms]
    return {name: _totals([shown for shown in told if shown.variant == name]) for name in variants}


def _whole(one: Outcome) -> str:
    """The user as they were dealt: another shop's of the same id is another user."""
    return inside(one.tenant, one.user_id)


def _totals(lists: Sequence[_List]) -> Totals:
    rows: dict[str, int] = {}
    user_N = np.array([rows.setdefault(shown.user, len(rows)) for shown in lists], np.int64)

    def per_user(values: Sequence[float]) -> Floats:
        found: Floats = np.bincount(user_N, values, minlength=len(rows)).astype(np.float64)
        return found

    return Totals(
        per_user([1.0] * len(lists)),
        {
            "ctr": per_user([float(shown.taken) for shown in lists]),
            "cvr": per_user([float(bool(shown.bought)) for shown in lists]),
            "revenue": per_user([shown.worth for shown in lists]),
        },
    )
