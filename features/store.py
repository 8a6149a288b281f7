"""The online store as the rooms see it: whole user rows in, whole user rows out.

`MemoryStore` and the Feast store pass the same contract suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

VECTOR_WIDTH = 64
"""The width of a user's interest vectors (see `features.interest`)."""


class UserFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """The online features of one user: one row of the feature view `user_profile`.

    The four `recent_*` fields run in parallel, oldest first; an unrated event has rating 0.
    `seen` are the codes of older items, as in `stream.events.Example`.
    """

    user_id: str
    updated_ms: int
    last_event_id: str
    recent_items: tuple[str, ...] = ()
    recent_kinds: tuple[str, ...] = ()
    recent_ts_ms: tuple[int, ...] = ()
    recent_ratings: tuple[float, ...] = ()
    seen: bytes = b""
    short_vector: tuple[float, ...] = ()
    long_vector: tuple[float, ...] = ()
    events: int = 0
    views: int = 0
    clicks: int = 0
    carts: int = 0
    purchases: int = 0
    reviews: int = 0
    top_category: str = ""
    top_brand: str = ""
    mean_price: float = 0.0
    mean_rating: float = 0.0
    mean_sentiment: float = 0.0
    divergence: float = 0.0
    shifts: int = 0
    last_shift_ms: int = 0
    last_shift_to: str = ""
    words: str = ""


class OnlineStore(Protocol):
    """Where serving finds a user's features, milliseconds after the profile wrote them."""

    def write(self, rows: Sequence[UserFeatures]) -> None:
        """Write whole rows; a row older than the one already there is ignored.

        Of two rows with one time, the one with fewer events is older: late events don't move the
        time, and a writer that slept must not undo them.

        Raises
        ------
        stream.errors.Unavailable
            If the store does not answer.
        """

    def read(self, user_ids: Sequence[str]) -> list[UserFeatures | None]:
        """The rows of many users in their order, `None` for an unknown user."""

    def forget(self, user_ids: Sequence[str]) -> None:
        """Erase the rows of users, their bytes included; unknown users are none.

        Raises
        ------
        stream.errors.Unavailable
            If the store does not answer; the same call may be repeated.
        """

    def close(self) -> None:
        """Release files and connections."""


class MemoryStore:
    """An online store in a dictionary, for tests and for the learner's offline runs."""

    def __init__(self) -> None:
        self._rows: dict[str, UserFeatures] = {}

    def write(self, rows: Sequence[UserFeatures]) -> None:
        """Write whole rows; a row older than the one already there is ignored."""
        for row in rows:
            known = self._rows.get(row.user_id)
            if known is None or _age(known) <= _age(row):
                self._rows[row.user_id] = row

    def read(self, user_ids: Sequence[str]) -> list[UserFeatures | None]:
        """The rows of many users in their order, `None` for an unknown user."""
        return [self._rows.get(user_id) for user_id in user_ids]

    def forget(self, user_ids: Sequence[str]) -> None:
        """Erase the rows of users."""
        for user_id in user_ids:
            self._rows.pop(user_id, None)

    def close(self) -> None:
        """Nothing to release."""


def _age(row: UserFeatures) -> tuple[int, int]:
    return row.updated_ms, row.events
