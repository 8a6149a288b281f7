"""What a shop may tell of its users in sums: noisy counts that hide whether anybody was there.

Of each user at most `per_user` categories count, each once; so one user more or less changes the
counts by `per_user` in all, and noise of the scale `per_user / epsilon` hides it (differential
privacy: Dwork, McSherry, Nissim & Smith 2006 [1]_). The noise comes from OpenDP, whose discrete
sampling leaves no trace in the low bits of floats [2]_. The counts are of the catalogue's
categories, all of them: which ones are told depends on no user. To tell them again spends as much
again: the sum of all epsilons is what an onlooker may learn.

.. [1] "Calibrating noise to sensitivity in private data analysis", TCC 2006.
.. [2] Mironov, "On significance of the least significant bits for differential privacy", CCS 2012.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from stream.errors import SettingsError
from stream.events import Event, Kind

LIBRARY = "opendp"
SEPARATOR = " > "


class Adds(Protocol):
    """Adds noise to counts; tells which epsilon that is worth."""

    def __call__(self, counts: Sequence[int]) -> list[int]:
        """The counts with noise."""

    @property
    def epsilon(self) -> float:
        """What an onlooker may learn of one user, as the library proves it."""


class Row(NamedTuple):
    """A category, and about how many users did something in it."""

    category: str
    users: int


def told_by_users(
    events: Iterable[Event],
    category_of: Mapping[str, str],
    kinds: frozenset[Kind],
    per_user: int,
) -> dict[str, set[str]]:
    """Of each user, the categories that count: those of their newest events, `per_user` at most."""
    newest: dict[str, dict[str, None]] = {}
    for event in sorted(events, key=lambda one: one.ts_ms, reverse=True):
        category = category_of.get(event.item_id)
        if category is not None and event.kind in kinds:
            own = newest.setdefault(event.user_id, {})
            if len(own) < per_user:
                own[category] = None
    return {user_id: set(own) for user_id, own in newest.items()}


def aggregates(told: Mapping[str, set[str]], categories: Sequence[str], noise: Adds) -> list[Row]:
    """Noisy counts of users by category; none is told as less than nobody."""
    names = sorted(set(categories))
    counts = dict.fromkeys(names, 0)
    for own in told.values():
        for category in own:
            counts[category] += 1
    noisy = noise([counts[name] for name in names])
    return [Row(name, max(0, users)) for name, users in zip(names, noisy, strict=True)]


class OpenDpNoise:
    """Discrete Laplace noise by OpenDP.

    Raises
    ------
    SettingsError
        If OpenDP is not installed.
    """

    def __init__(self, epsilon: float, per_user: int) -> None:
        try:
            # By name, because it is optional; its prelude would import far more.
            domains, measurements, metrics, mod = (
                import_module(f"{LIBRARY}.{part}")
                for part in ("domains", "measurements", "metrics", "mod")
            )
        except ImportError as error:
            msg = f"noise needs {LIBRARY}: install it with `pip install {LIBRARY}`"
            raise SettingsError(msg) from error
        mod.enable_features("contrib")
        counts, distance = (
            domains.vector_domain(domains.atom_domain(T=int)),
            metrics.l1_distance(T=int),
        )
        self._measure: Any = measurements.make_laplace(counts, distance, scale=per_user / epsilon)
        self._epsilon = float(self._measure.map(d_in=per_user))

    @property
    def epsilon(self) -> float:
        """What OpenDP proves of one user more or less."""
        return self._epsilon

    def __call__(self, counts: Sequence[int]) -> list[int]:
        """The counts with noise."""
        noisy: list[int] = self._measure(list(counts))
        return noisy


def write(rows: Sequence[Row], path: Path, facts: Mapping[str, str]) -> None:
    """Write a parquet file that says in its metadata how private it is."""
    import pyarrow as pa  # noqa: PLC0415 - imported by whoever writes
    import pyarrow.parquet as pq  # noqa: PLC0415

    table = pa.table(
        {"category": [row.category for row in rows], "users": [row.users for row in rows]}
    )
    told = {f"tidemill.{name}".encode(): value.encode() for name, value in facts.items()}
    pq.write_table(table.replace_schema_metadata(told), path)
