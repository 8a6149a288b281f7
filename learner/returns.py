"""Returns: how likely a user takes an item again, by what it was, when, and how long ago.

Legend: `B` users, `T` past steps, `K` kinds, `G` ages by powers of two.

Counted, not assumed: where a shop sells what is used up, an item is due again after some time;
where nobody buys twice, all shares are near zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories
from stream.events import KINDS

AGES = 28
"""Ages by powers of two from a second to four years: finer is noise."""

SHRUNK_BY = 50.0
"""Steps seen that a share is shrunk by: without, one return would mean a habit."""


class Returns:
    """Decayed shares of past steps whose item was taken now: by place in the history, and by age.

    >>> returns = Returns(steps=2)
    >>> def past(rows, now_s):
    ...     one = np.array([rows])
    ...     return Histories(one.astype(np.int32), np.zeros((1, 2), np.int8), one * 0, one * 0.0,
    ...                      np.array([now_s * 1000]), np.array([2]))
    >>> for _ in range(200):
    ...     now = past([4, 5], 3600)
    ...     returns.learn(now, np.array([4]), newest_only(now.rows_BT), fade=1.0)
    >>> by_place, by_age = returns.shares_BT(past([4, 5], 3600))

    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.place_hits_KT = np.zeros((len(KINDS), steps))
        self.place_seen_KT = np.zeros((len(KINDS), steps))
        self.age_hits_KG = np.zeros((len(KINDS), AGES))
        self.age_seen_KG = np.zeros((len(KINDS), AGES))

    def shares_BT(self, past: Histories) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The chance that each past step's item is taken now, by its place and by its age."""
        place_T = np.arange(past.rows_BT.shape[1])[::-1]
        place_KT = self.place_hits_KT / (self.place_seen_KT + SHRUNK_BY)
        age_KG = self.age_hits_KG / (self.age_seen_KG + SHRUNK_BY)
        by_place_BT = place_KT[past.kinds_BT, place_T]
        by_age_BT = age_KG[past.kinds_BT, _ages_BT(past)]
        return by_place_BT.astype(np.float32), by_age_BT.astype(np.float32)

    def learn(
        self,
        past: Histories,
        rows_B: NDArray[np.int32],
        newest_BT: NDArray[np.bool_],
        fade: float,
    ) -> None:
        """Count a micro-batch; `newest_BT` marks the newest step of each item in its history."""
        place_BT = np.broadcast_to(np.arange(past.rows_BT.shape[1])[::-1], past.rows_BT.shape)
        ages_BT = _ages_BT(past)
        hit_BT = newest_BT & (past.rows_BT == rows_B[:, None])
        for which_BT, by_place, by_age in (
            (hit_BT, "place_hits_KT", "age_hits_KG"),
            (newest_BT, "place_seen_KT", "age_seen_KG"),
        ):
            kinds = past.kinds_BT[which_BT].astype(np.int64)
            for name, column_BT in ((by_place, place_BT), (by_age, ages_BT)):
                counts = getattr(self, name)
                at = kinds * counts.shape[1] + column_BT[which_BT]
                new = np.bincount(at, minlength=counts.size).reshape(counts.shape)
                setattr(self, name, counts * fade + new)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps."""
        return {
            name: getattr(self, name)
            for name in ("place_hits_KT", "place_seen_KT", "age_hits_KG", "age_seen_KG")
        }

    def restore(
        self,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
        items: int,
    ) -> None:
        """Take a snapshot; nothing here depends on rows."""
        for name, counts in state.items():
            setattr(self, name, np.array(counts))


def newest_only(rows_BT: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether a step is the newest of its item in its history.

    >>> newest_only(np.array([[-1, 4, 5, 4]], np.int32)).tolist()
    [[False, False, True, True]]
    """
    line_B1 = np.arange(len(rows_BT))[:, None]
    order_BT = np.argsort(rows_BT, axis=1, kind="stable")
    sorted_BT = rows_BT[line_B1, order_BT]
    newest_BT = sorted_BT >= 0
    newest_BT[:, :-1] &= sorted_BT[:, :-1] != sorted_BT[:, 1:]
    found_BT = np.empty_like(newest_BT)
    found_BT[line_B1, order_BT] = newest_BT
    return found_BT


def _ages_BT(past: Histories) -> NDArray[np.int64]:
    age_BT = np.maximum((past.now_B[:, None] - past.ts_BT) / 1000.0, 0.0)
    return np.minimum(np.log2(age_BT + 1.0), AGES - 1).astype(np.int64)
