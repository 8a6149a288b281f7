"""Trust: how much users whom nobody knows yet may teach about one item.

Legend: `B` examples of a micro-batch, `T` past steps, `I` catalogue rows.

Accounts are cheap: a click farm makes a new one for every few clicks, and a bot knows one item
only. So nobody is judged, but a crowd is: what new users teach of an item is held against what
known users teach of it, who are dear to come by. Where new users take an item as often as they take
others, all of them teach. Beyond that, each further event teaches with a chance that halves, until
known users take the item too. What doesn't teach is still ranked, and still is in the user's
history.

Two counts per item are remembered, and how many different items users had behind them; all of it
fades. No user is remembered: an example brings along what its user did before. An attacker who
gives each account ten different items first is not stopped, but pays ten events for every account.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories
from learner.config import TrustConfig

HALF_LIFE_S = 7 * 86_400.0
"""A week: less forgets which items known users take, more holds an item's slow start against it."""

PSEUDO = 0.5
"""Events of known users that every item is taken to have: without, a shop where hardly anyone is
known would learn next to nothing; with many, any item could be pushed."""


LEAST_KNOWN = 0.25
"""The share of events that come from known users, at least: where visits are short, fewer different
items make a user known. Less leaves too few of them to hold others against."""

MOST_STEPS = 512
"""The longest history that there can be."""


class Crowd:
    """What new and known users taught of each item.

    Examples
    --------
    >>> def visitors(different: int, count: int) -> Histories:
    ...     zeros = np.zeros((count, 40))
    ...     rows = np.where(np.arange(40) < different, np.arange(40), -1)
    ...     return Histories(np.tile(rows, (count, 1)).astype(np.int32), zeros, zeros, zeros,
    ...                      np.zeros(count, np.int64), np.full(count, different))
    >>> crowd, draws, config = Crowd(), np.random.default_rng(0), TrustConfig()
    >>> everything, tea = np.arange(400, dtype=np.int32), np.zeros(400, np.int32)
    >>> int(crowd.hear(everything, visitors(10, 400), config, draws, items=400).sum())
    400
    >>> int(crowd.hear(tea, visitors(0, 400), config, draws, items=400).sum()) < 12
    True
    """

    def __init__(self) -> None:
        self.now_ms = 0
        self.new_I = np.zeros(0)
        self.known_I = np.zeros(0)
        self.different_N = np.zeros(MOST_STEPS + 1)
        """How many events came with so many different items behind them."""

    def reserve(self, items: int) -> None:
        """Make room for this many rows."""
        grow = items - len(self.new_I)
        if grow > 0:
            self.new_I = np.pad(self.new_I, (0, grow))
            self.known_I = np.pad(self.known_I, (0, grow))

    def hear(
        self,
        rows_B: NDArray[np.int32],
        past: Histories,
        config: TrustConfig,
        generator: np.random.Generator,
        *,
        items: int,
    ) -> NDArray[np.bool_]:
        """Which examples teach; those are counted. Where all do, nothing is drawn."""
        self.reserve(items)
        if not len(rows_B):
            return np.zeros(0, np.bool_)
        self._fade(int(past.now_B.max()))
        different_B = _different_B(past.rows_BT)
        self.different_N += np.bincount(different_B, minlength=MOST_STEPS + 1)
        new_B = different_B < self._needed(min(config.known_items, past.rows_BT.shape[1] // 2))
        self.known_I += np.bincount(rows_B[~new_B], minlength=len(self.known_I))

        # 1. What new users may teach of each item: as much as elsewhere, and a little more.
        per_known = (self.new_I.sum() + 1.0) / (self.known_I.sum() + 1.0)
        at = np.flatnonzero(new_B)
        rows_N = rows_B[at]
        free_N = config.free + config.times * per_known * (self.known_I[rows_N] + PSEUDO)

        # 2. Beyond that, the chance halves with every event.
        excess_N = self.new_I[rows_N] + _earlier(rows_N) + 1.0 - free_N
        doubtful = np.flatnonzero(excess_N > 0)
        teaches_B = np.ones(len(rows_B), np.bool_)
        if len(doubtful):
            chance = np.exp2(-excess_N[doubtful])
            teaches_B[at[doubtful]] = generator.random(len(doubtful)) < chance
        self.new_I += np.bincount(rows_B[new_B & teaches_B], minlength=len(self.new_I))
        return teaches_B

    def _needed(self, most: int) -> int:
        """How many different items make a user known: `most`, or fewer where few have as many."""
        above_N = np.cumsum(self.different_N[::-1])[::-1] / self.different_N.sum()
        return max(1, min(most, int((above_N >= LEAST_KNOWN).sum()) - 1))

    def _fade(self, ms: int) -> None:
        newest_ms = max(self.now_ms, ms)
        keep = 2.0 ** (-(newest_ms - self.now_ms) / 1000.0 / HALF_LIFE_S) if self.now_ms else 1.0
        self.now_ms = newest_ms
        self.new_I *= keep
        self.known_I *= keep
        self.different_N *= keep

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps."""
        return {
            "new_I": self.new_I,
            "known_I": self.known_I,
            "different_N": self.different_N,
            "now_ms": np.array([self.now_ms]),
        }

    def restore(
        self, state: Mapping[str, NDArray[np.generic]], row_of_I: NDArray[np.int64], items: int
    ) -> None:
        """Take a snapshot; one from before there was trust knows nobody."""
        self.now_ms = int(state["now_ms"][0]) if state else 0
        self.different_N = np.array(state["different_N"]) if state else np.zeros(MOST_STEPS + 1)
        kept_I = row_of_I >= 0
        for name in ("new_I", "known_I"):
            count_I = np.zeros(items)
            if state:
                count_I[row_of_I[kept_I]] = state[name][kept_I]
            setattr(self, name, count_I)


def _different_B(rows_BT: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many different items each history holds.

    >>> _different_B(np.array([[-1, 4, 5, 4], [-1, -1, -1, -1]], np.int32)).tolist()
    [2, 0]
    """
    sorted_BT = np.sort(rows_BT, axis=1)
    new_BT = sorted_BT >= 0
    new_BT[:, 1:] &= sorted_BT[:, 1:] != sorted_BT[:, :-1]
    return np.asarray(new_BT.sum(axis=1))


def _earlier(rows_N: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many before it are of the same row.

    >>> _earlier(np.array([4, 7, 4, 4])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(rows_N, kind="stable")
    sorted_N = rows_N[order]
    start_N = np.r_[True, sorted_N[1:] != sorted_N[:-1]][: len(order)]
    first_N = np.maximum.accumulate(np.where(start_N, np.arange(len(order)), 0))
    earlier_N = np.empty(len(order), np.int64)
    earlier_N[order] = np.arange(len(order)) - first_N
    return earlier_N
