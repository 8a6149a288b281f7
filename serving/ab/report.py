"""What an A/B test says so far: rates of variants, and whether to trust their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from serving.ab.balance import LEAST_ODDS, mismatch_odds
from serving.ab.sequential import Difference, Rate, difference, rate_of
from serving.ab.totals import MEASURES, Measure, Totals
from stream.variants import Variant


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of one variant, beside the control's.

    `low` and `high` hold the true difference with 95 %, however often one looks; they are `None`
    while too little is known, and for the control.
    """

    measure: Measure
    value: float
    error: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    proven: bool = False


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One variant."""

    name: str
    users: int
    lists: int
    measures: tuple[Compared, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole test; the first arm is the control.

    `mismatch_odds` above 1,000 say that users were not dealt as asked: nothing else in the report
    is to be believed then.
    """

    arms: tuple[Arm, ...]
    mismatch_odds: float

    @property
    def is_sound(self) -> bool:
        """Whether users were dealt as asked, as far as one can tell."""
        return self.mismatch_odds < LEAST_ODDS


def report_of(arms: Sequence[Variant], totals: Mapping[str, Totals]) -> Report:
    """Judge a test by what its users did."""
    control = totals[arms[0].name]
    return Report(
        arms=tuple(_arm(one, totals[one.name], control) for one in arms),
        mismatch_odds=mismatch_odds(
            [totals[one.name].users for one in arms], [one.weight for one in arms]
        ),
    )


def _arm(variant: Variant, mine: Totals, control: Totals) -> Arm:
    compared = []
    for measure in MEASURES:
        rate = rate_of(mine.done[measure], mine.lists_U)
        beside = None if mine is control else rate_of(control.done[measure], control.lists_U)
        compared.append(_compared(measure, rate, beside))
    return Arm(
        name=variant.name,
        users=mine.users,
        lists=round(float(mine.lists_U.sum())),
        measures=tuple(compared),
    )


def _compared(measure: Measure, rate: Rate, control: Rate | None) -> Compared:
    error = rate.variance**0.5 if rate.users else None
    if control is None:
        return Compared(measure=measure, value=rate.value, error=error)
    found = difference(rate, control)
    bounds = _bounds(found)
    return Compared(
        measure=measure,
        value=rate.value,
        error=error,
        difference=found.value,
        low=bounds and bounds[0],
        high=bounds and bounds[1],
        p=found.p,
        proven=found.is_proven,
    )


def _bounds(found: Difference) -> tuple[float, float] | None:
    return None if found.low == -float("inf") else (found.low, found.high)
