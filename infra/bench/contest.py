"""Consumers that take turns with one topic, each in a process of its own; the best turn counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from infra.bench.apart import apart
from infra.bench.bar import Run

_ROOT = Path(__file__).parents[2]

# A script's folder would come first on its path, and hide modules of the standard library.
_PATH = {"PYTHONPATH": str(_ROOT), "PYTHONSAFEPATH": "1"}


class Side(NamedTuple):
    """One who takes part: how `apart` calls it, how much it reads, and what else it is told.

    It is called with the broker, its consumer group, `events` and `words`, and returns what
    `infra.bench.meter` measured.
    """

    function: str
    events: int
    words: tuple[object, ...] = ()
    python: Path | None = None


def script(name: str) -> str:
    """The path of a script beside this module, for another interpreter."""
    return str(Path(__file__).with_name(name))


def best_rates(run: Run, servers: str, sides: Mapping[str, Side], turns: int) -> dict[str, float]:
    """Events/s of each side in its best turn: what else a machine does only takes away."""
    best: dict[str, float] = {}
    for turn in range(turns):
        for name, side in sides.items():
            group = f"{name.replace(' ', '-').replace(',', '')}-{turn}"
            words = (servers, group, side.events, *side.words)
            figures = apart(side.function, *words, python=side.python, environment=_PATH)
            rate, cpu_us = figures["events_per_s"], figures["cpu_us"]
            run.say(f"{name}: {rate:,.0f} events/s, {cpu_us:.1f} µs of its own work each")
            best[name] = max(rate, best.get(name, 0.0))
    return best
