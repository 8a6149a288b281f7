"""An online store that is away when the simulation says so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from features.store import MemoryStore, UserFeatures
from tests.simulation.broker import STORE_AWAY


class SimStore(MemoryStore):
    """The store in memory; while it is away, a write may have happened or not.

    Parameters
    ----------
    away
        The neighbours that don't answer now.
    """

    def __init__(self, away: Collection[str], rng: Random) -> None:
        super().__init__()
        self._away = away
        self._rng = rng

    def write(self, rows: Sequence[UserFeatures]) -> None:
        """Write whole rows."""
        if "store" not in self._away:
            super().write(rows)
            return
        if self._rng.random() < 0.5:
            super().write(rows)
        raise STORE_AWAY

    def read(self, user_ids: Sequence[str]) -> list[UserFeatures | None]:
        """The rows of many users."""
        if "store" in self._away:
            raise STORE_AWAY
        return super().read(user_ids)
