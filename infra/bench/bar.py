"""What a bench gives: figures beside what they are compared with, and whether a bar holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

WHOLE = 100
"""From here on digits after the point say nothing."""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One figure, and the bar that it is to clear.

    Attributes
    ----------
    name
        The bench and what of it: `ingest/quix`.
    value, unit
        The figure.
    against
        What was measured beside it, by name, in the same unit.
    ratio
        The figure to the one it is compared with; `None` where the bar is about the figure itself.
    bar
        In words.
    holds
        Whether it does; `None` where nothing was to be compared with.

    Examples
    --------
    >>> print(Bar(name="ingest/faust", value=90_000, unit="events/s", against={"faust": 2_000},
    ...           ratio=45.0, bar="≥ 40 × stock Faust", holds=True))
    ingest/faust: 90,000 events/s; faust 2,000; ratio 45; ≥ 40 × stock Faust: holds
    """

    name: str
    value: float
    unit: str
    against: Mapping[str, float] = {}
    ratio: float | None = None
    bar: str = ""
    holds: bool | None = None

    def __str__(self) -> str:
        """In one line."""
        parts = [f"{self.name}: {number(self.value)} {self.unit}"]
        parts += [f"{name} {number(value)}" for name, value in self.against.items()]
        if self.ratio is not None:
            parts.append(f"ratio {number(self.ratio)}")
        if self.bar:
            verdict = {True: "holds", False: "does not hold", None: "not compared"}[self.holds]
            parts.append(f"{self.bar}: {verdict}")
        return "; ".join(parts)


class Run(NamedTuple):
    """How to run a bench.

    Attributes
    ----------
    say
        Where progress is told, a line at a time.
    folder
        An empty folder to work in.
    size
        Share of the full sizes; below 1 for a first look, and for tests.
    tools
        The interpreter of an environment with what is only compared with, where there is one.
    """

    say: Callable[[str], None]
    folder: Path
    size: float = 1.0
    tools: Path | None = None

    def sized(self, number: int, least: int = 1) -> int:
        """A count at this run's size.

        >>> Run(print, Path("."), size=0.01).sized(200_000, least=100)
        2000
        """
        return max(least, round(number * self.size))


def number(value: float) -> str:
    """Show three digits or more.

    >>> number(123456.7), number(12.345), number(0.01234)
    ('123,457', '12.3', '0.0123')
    """
    return f"{value:,.0f}" if abs(value) >= WHOLE else f"{value:.3g}"
