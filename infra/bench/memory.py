"""How much each role's memory grows while events go through it, and nothing else.

Each role is fed in a process of its own (`infra.bench.fed`). Growth is the slope of the resident
size after the first quarter, per 100,000 events: what is kept per event shows, what is filled once
doesn't.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from infra.bench.apart import apart
from infra.bench.bar import Bar, Run
from infra.bench.fed import ROLES, RUN

EVENTS = {"ingest": 1_000_000, "profile": 200_000, "learner": 20_000, "serving": 20_000}
"""At full size; what takes a millisecond an event is given fewer."""

MINUTES = 2.0
"""No role is fed for longer: then the growth is that of fewer events."""

WARM_UP = 0.25

LOOKS = 40

PER = 100_000

MOST_MB = 5.0


def measure(run: Run) -> Iterator[Bar]:
    """Feed the roles one after the other."""
    for role, events in EVENTS.items():
        found = apart("infra.bench.memory:fed", role, run.sized(events, least=4 * RUN), MINUTES)
        run.say(f"{role}: {found['events']:,.0f} events, {found['events_per_s']:,.0f} a second")
        yield Bar(
            name=f"memory/{role}",
            value=found["growth_mb"],
            unit="MB per 100,000 events",
            against={"at rest (MB)": found["rest_mb"], "at the end (MB)": found["end_mb"]},
            bar=f"< {MOST_MB:g} after {found['events']:,.0f} events",
            holds=found["growth_mb"] < MOST_MB if run.size >= 1 else None,  # else: warming up
        )


def fed(role: str, events: str, minutes: str) -> dict[str, float]:
    """Feed one role in this process, and weigh the process meanwhile."""
    total, until_s = int(events), float(minutes) * 60
    with tempfile.TemporaryDirectory() as folder:
        take = ROLES[role](Path(folder))
        rest_mb, at, sizes, done, began = resident_mb(), [], [], 0, time.monotonic()
        look_every = max(RUN, total // LOOKS // RUN * RUN)
        while done < total and time.monotonic() - began < until_s:
            take(done, done + RUN)
            done += RUN
            if done % look_every == 0:
                at.append(done)
                sizes.append(resident_mb())
        seconds = time.monotonic() - began
    return {
        "events": done,
        "events_per_s": done / seconds,
        "rest_mb": rest_mb,
        "end_mb": sizes[-1] if sizes else rest_mb,
        "growth_mb": PER * growth(at, sizes),
    }


def growth(at: Sequence[int], sizes: Sequence[float]) -> float:
    """What a process grows per event, by least squares, after the warm-up.

    >>> round(growth([10, 20, 30, 40], [5.0, 70.0, 71.0, 72.0]), 6)
    0.1
    """
    late = [(n, size) for n, size in zip(at, sizes, strict=True) if n > at[-1] * WARM_UP]
    if len(late) < 2:  # noqa: PLR2004 - one point has no slope
        return 0.0
    x, y = np.asarray(late, float).T
    return float(np.polyfit(x, y, 1)[0])


def resident_mb() -> float:
    """Resident size of this process."""
    return float(psutil.Process(os.getpid()).memory_info().rss) / 1e6
