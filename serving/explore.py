"""A bounded share of places for new items: nobody clicks what nobody is shown.

A list's last places go to new items of the user's own pool, so that what is tried out fits who sees
it. Which of them is drawn by Thompson sampling [1]_: each item's rate of being taken is drawn from
what its shows and takes leave open, and the highest draw is shown. An item that is shown and never
taken loses its place by itself, one that is taken soon needs no help.

What is drawn follows from the recommendation's id and the counts, so that nothing is drawn anew
where a micro-batch is cut otherwise.

.. [1] Thompson, "On the likelihood that one unknown probability exceeds another", Biometrika, 1933;
   Chapelle & Li, "An empirical evaluation of Thompson sampling", NIPS 2011.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from serving.ranker import NOWHERE, Floats, Rows

MISSES = 20.0
"""Shows without a take that every item is begun with: more make every draw small and alike, fewer
let chance decide longer."""

MOST_SHOWS = 200
"""An item that was shown so often is new no longer, whatever its age."""


LOOK_AGAIN_MS = 10_000
"""Until it is looked again which items have grown old."""


class Explorer:
    """Gives new items their places, and counts how often this process has shown them.

    Parameters
    ----------
    share
        Of all places, from 0 to .5: a list of `k` gives up `share * k` on average, never its first.

    Examples
    --------
    >>> explorer = Explorer(share=0.2)
    >>> best, pool = np.array([1, 2, 3, 4, 5]), np.array([1, 2, 3, 4, 5, 6, 7, 8])
    >>> new, taken = np.array([7]), np.array([0])
    >>> explorer.place(best, pool, new, taken, "r-1").tolist()
    [1, 2, 3, 4, 7]
    >>> Explorer(share=0.0).place(best, pool, new, taken, "r-1") is best
    True
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.shown: dict[int, int] = {}
        """Shows by row of the catalogue: rows are never given to another item."""

    def place(
        self, best_P: Rows, pool_K: Rows, new_N: Rows, taken_N: NDArray[np.integer[Any]], key: str
    ) -> Rows:
        """Put new items in the last places of a list.

        Parameters
        ----------
        best_P
            The list.
        pool_K
            What it was chosen from, by rank, padded with -1.
        new_N, taken_N
            New items, and how often each was taken so far.
        key
            What the draw follows from.
        """
        if not len(new_N):
            return best_P
        draw = np.random.default_rng(crc32(key.encode()))
        places = int(self.share * len(best_P) + draw.random())
        places = min(places, len(best_P) - 1)
        if places < 1:
            return best_P
        fits_N = np.isin(new_N, pool_K[pool_K != NOWHERE])
        fits_N &= ~np.isin(new_N, best_P[: len(best_P) - places])
        at_N = np.flatnonzero(fits_N)
        shown_N = np.array([self.shown.get(row, 0) for row in new_N[at_N].tolist()], np.int64)
        at_N, shown_N = at_N[shown_N < MOST_SHOWS], shown_N[shown_N < MOST_SHOWS]
        if not len(at_N):
            return best_P
        taken_N = taken_N[at_N]
        missed_N = np.maximum(shown_N - taken_N, 0)
        rate_N = draw.beta(1.0 + taken_N, MISSES + missed_N)
        chosen = new_N[at_N[np.argsort(-rate_N, kind="stable")[:places]]]
        kept_P = best_P[~np.isin(best_P, chosen)][: len(best_P) - len(chosen)]
        for row in chosen.tolist():
            self.shown[row] = self.shown.get(row, 0) + 1
        return np.concatenate([kept_P, chosen]).astype(best_P.dtype)


class NewItems:
    """The rows of items that came lately: found once, and let go when they are old.

    Parameters
    ----------
    catalog
        Rows are only ever added to it.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._looked_at = 0
        self._young: list[int] = []
        self._from_ms = 0

    def rows(self, from_ms: int) -> Rows:
        """The rows of items that were first seen since."""
        items = len(self._catalog)
        if items != self._looked_at or from_ms - self._from_ms > LOOK_AGAIN_MS:
            rows = [*self._young, *range(self._looked_at, items)]
            self._young = [r for r in rows if self._catalog.item(r).first_seen_ms >= from_ms]
            self._looked_at, self._from_ms = items, from_ms
        return np.array(self._young, np.int32)


def scores_of(rows_P: Rows, pool_K: Rows, scores_K: Floats) -> Floats:
    """The scores of rows that were chosen from a pool; the lowest of the pool for all others.

    >>> pool, scores = np.array([5, 9, 2, -1]), np.array([3.0, 2.0, 1.0, -9.0])
    >>> scores_of(np.array([2, 5, 8]), pool, scores).tolist()
    [1.0, 3.0, 1.0]
    """
    known = dict(zip(pool_K.tolist(), scores_K.tolist(), strict=True))
    known.pop(NOWHERE, None)
    lowest = min(known.values(), default=0.0)
    return np.array([known.get(row, lowest) for row in rows_P.tolist()], np.float32)
