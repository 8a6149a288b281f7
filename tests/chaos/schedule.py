"""What is done to whom, and when: drawn from a seed before the run begins.

A fault's time is a share of the events that are to be sent, so that a slow machine is broken as
often as a quick one, at the same places of the stream.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from random import Random
from typing import NamedTuple

from infra.roles import ROLES
from tests.faults.points import POINTS

PROCESSES = ("ingest-profile-0", "ingest-profile-1", "learner", "serving")
"""The processes that are killed; a third worker of ingest comes and goes."""

AIMED: dict[str, tuple[str, ...]] = {
    role: tuple(
        name
        for name, point in POINTS.items()
        if point.role == role and not name.startswith("catalogue")
    )
    for role in ROLES
}
"""Where an aimed kill hits a role; a catalogue that hardly changes passes its points too rarely."""

AIMED_SHARE = 0.3
AIMED_ZOMBIE_SHARE = 0.6
"""Zombies that stop at a point of their work, and wake in the middle of it."""
STARTING_SHARE = 0.05
"""Kills that hit a process while it starts: it recovers state then, and recovers anew."""

FIRST, LAST = 0.03, 0.97
"""The stretch of the stream in which faults begin: the end is left for the last one to heal."""

OTHERS: dict[str, int] = {
    "zombie": 12,
    "worker-added": 3,
    "worker-removed": 3,
    "broker-kill": 8,
    "leader-move": 8,
    "redis-kill": 3,
    "redis-wiped": 3,
    "network-delay": 5,
    "network-hold": 4,
    "network-cut": 4,
    "disk-full": 3,
    "clock-jump": 4,
}
"""Faults beside the kills, per hundred kills."""

KINDS = ("kill", "aimed", *OTHERS)

SECONDS: dict[str, tuple[float, float]] = {
    "zombie": (5, 60),
    "worker-added": (15, 40),
    "worker-removed": (3, 20),
    "broker-kill": (1, 15),
    "redis-kill": (1, 8),
    "redis-wiped": (1, 8),
    "network-delay": (5, 15),
    "network-hold": (2, 20),
    "network-cut": (1, 10),
    "disk-full": (3, 10),
    "clock-jump": (10, 40),
}
"""Shortest and longest; short ones are drawn more often than long ones, as in life."""


class Fault(NamedTuple):
    """One thing to do. `how` is the point at which a process is hit, or `starting` for a start."""

    at: float
    kind: str
    target: str = ""
    how: str = ""
    seconds: float = 0.0


def role_of(process: str) -> str:
    """The role of a process.

    >>> role_of("ingest-profile-1"), role_of("learner")
    ('ingest-profile', 'learner')
    """
    return "ingest-profile" if process.startswith("ingest-profile") else process


def draw(seed: int, kills: int, only: Collection[str] = KINDS) -> list[Fault]:
    """Draw the faults of a run, in the order in which they begin.

    Kills are shared out evenly among the processes and along the stream; other faults come as they
    may. The same arguments give the same faults.

    Parameters
    ----------
    seed
        Of this draw alone.
    kills
        How many processes are killed with -9, plain and aimed together.
    only
        The kinds that may come. Without `kill`, all kills are aimed; without `aimed`, none is.

    Examples
    --------
    >>> faults = draw(seed=1, kills=8, only=("kill", "aimed"))
    >>> [fault.target for fault in sorted(faults, key=lambda f: f.target)][::2]
    ['ingest-profile-0', 'ingest-profile-1', 'learner', 'serving']
    >>> draw(seed=1, kills=8) == draw(seed=1, kills=8), draw(seed=1, kills=8) == draw(2, 8)
    (True, False)
    """
    rng = Random(f"chaos {seed}")
    faults: list[Fault] = []
    if "kill" in only or "aimed" in only:
        for place, process in enumerate(PROCESSES):
            count = kills // len(PROCESSES) + (place < kills % len(PROCESSES))
            faults += [_kill(rng, process, (n + rng.random()) / count, only) for n in range(count)]
    for kind, per_hundred in OTHERS.items():
        if kind in only:
            for _ in range(math.ceil(per_hundred * kills / 100)):
                faults.append(_other(rng, kind))
    return sorted(faults)


def _kill(rng: Random, process: str, at: float, only: Collection[str]) -> Fault:
    chance, point = rng.random(), rng.choice(AIMED[role_of(process)])
    at = FIRST + (LAST - FIRST) * at
    if "kill" not in only or ("aimed" in only and chance < AIMED_SHARE):
        return Fault(at, "aimed", process, point)
    how = "starting" if chance > 1 - STARTING_SHARE else ""
    return Fault(at, "kill", process, how)


def _other(rng: Random, kind: str) -> Fault:
    at = FIRST + (LAST - FIRST) * rng.random()
    shortest, longest = SECONDS.get(kind, (0.0, 0.0))
    seconds = shortest * (longest / shortest) ** rng.random() if shortest else 0.0
    target = _target(rng, kind)
    aimed = kind == "zombie" and rng.random() < AIMED_ZOMBIE_SHARE
    how = rng.choice(AIMED[role_of(target)]) if aimed else ""
    return Fault(at, kind, target, how, round(seconds, 2))


def _target(rng: Random, kind: str) -> str:
    targets: dict[str, Sequence[str]] = {
        "zombie": PROCESSES,
        "worker-removed": PROCESSES[:2],
        "disk-full": ("ingest-profile-1", "learner"),
        "clock-jump": PROCESSES,
        "broker-kill": ("1", "2", "3"),
    }
    return rng.choice(targets.get(kind, ("",)))
