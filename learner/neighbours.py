"""Which items follow which: a bounded list of weighted neighbours per item.

Legend: `I` catalogue rows, `M` neighbours kept per item, `P` pairs, `S` distinct sources.

A list is kept in falling order of weight. A newcomer takes the place of the weakest when the list
is full; of two with the same weight the newer one stays, so that rare pairs make room for recent
ones while frequent pairs remain (compare "SpaceSaving", Metwally et al., ICDT 2005, without its
inheritance of counts, which would overrate newcomers).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


class Neighbours:
    """Directed, decayed and bounded counts of pairs of items.

    Examples
    --------
    >>> table = Neighbours(size=2, half_life_s=float("inf"))
    >>> table.add(np.array([0, 0, 0]), np.array([1, 1, 2]), np.ones(3, np.float32), 0, items=3)
    >>> table.ids_IM[0].tolist(), table.weights_IM[0].tolist(), table.degrees_I[0].item()
    ([1, 2], [2.0, 1.0], 3.0)
    """

    def __init__(self, size: int, half_life_s: float) -> None:
        self.size = size
        self.half_life_s = half_life_s
        self.ids_IM = np.full((0, size), -1, np.int32)
        self.weights_IM = np.zeros((0, size), np.float32)
        self.degrees_I = np.zeros(0, np.float32)
        self._updated_I = np.zeros(0, np.int64)

    def reserve(self, items: int) -> None:
        """Make room for this many rows."""
        have = len(self.degrees_I)
        if items <= have:
            return
        grow = max(items, 2 * have) - have
        self.ids_IM = np.pad(self.ids_IM, ((0, grow), (0, 0)), constant_values=-1)
        self.weights_IM = np.pad(self.weights_IM, ((0, grow), (0, 0)))
        self.degrees_I = np.pad(self.degrees_I, (0, grow))
        self._updated_I = np.pad(self._updated_I, (0, grow))

    def add(
        self,
        source_P: NDArray[np.int32],
        target_P: NDArray[np.int32],
        weight_P: NDArray[np.float32],
        now_ms: int,
        items: int,
    ) -> None:
        """Count pairs; negative rows and an item with itself are left out."""
        self.reserve(items)
        use_P = (source_P >= 0) & (target_P >= 0) & (source_P != target_P)
        if not use_P.any():
            return
        key_P = source_P[use_P].astype(np.int64) * items + target_P[use_P]
        key_P, inverse_P = np.unique(key_P, return_inverse=True)
        gain_P = np.bincount(inverse_P, weight_P[use_P]).astype(np.float32)
        source_P, target_P = np.divmod(key_P, items)
        source_S, start_S = np.unique(source_P, return_index=True)
        group_P = np.repeat(np.arange(len(source_S)), np.diff(np.append(start_S, len(source_P))))

        # 1. What is there fades to now, list by list (never below zero time: late events don't).
        elapsed_S = np.maximum(now_ms - self._updated_I[source_S], 0) / 1000.0
        fade_S = np.exp2(-elapsed_S / self.half_life_s).astype(np.float32)
        ids_SM = self.ids_IM[source_S]
        weights_SM = self.weights_IM[source_S] * fade_S[:, None]
        self.degrees_I[source_S] *= fade_S
        self.degrees_I[source_S] += np.bincount(group_P, gain_P).astype(np.float32)
        self._updated_I[source_S] = np.maximum(self._updated_I[source_S], now_ms)

        # 2. Known pairs grow in place; new ones queue in front of the list.
        same_PM = ids_SM[group_P] == target_P[:, None]
        hit_P = same_PM.any(axis=1)
        weights_SM[group_P[hit_P], same_PM[hit_P].argmax(axis=1)] += gain_P[hit_P]
        group_N, target_N, gain_N = group_P[~hit_P], target_P[~hit_P], gain_P[~hit_P]
        count_S = np.bincount(group_N, minlength=len(source_S))
        place_N = np.arange(len(group_N)) - np.repeat(np.cumsum(count_S) - count_S, count_S)
        new = int(count_S.max()) if len(group_N) else 0
        new_ids = np.full((len(source_S), new), -1, np.int32)
        new_weights = np.zeros((len(source_S), new), np.float32)
        new_ids[group_N, place_N] = target_N
        new_weights[group_N, place_N] = gain_N

        # 3. The heaviest M stay; a stable sort lets the newer win a tie.
        ids = np.concatenate([new_ids, ids_SM], axis=1)
        weights = np.concatenate([new_weights, weights_SM], axis=1)
        weights[ids < 0] = -1.0
        order = np.argsort(-weights, axis=1, kind="stable")[:, : self.size]
        ids_SM = np.take_along_axis(ids, order, axis=1)
        self.ids_IM[source_S] = ids_SM
        kept = np.take_along_axis(weights, order, axis=1)
        self.weights_IM[source_S] = np.where(ids_SM >= 0, kept, 0.0)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps: only the rows that have neighbours."""
        used_N = np.flatnonzero(self.degrees_I > 0).astype(np.int32)
        return {
            "rows_N": used_N,
            "ids_NM": self.ids_IM[used_N],
            "weights_NM": self.weights_IM[used_N],
            "degrees_N": self.degrees_I[used_N],
            "updated_N": self._updated_I[used_N],
        }

    def restore(
        self,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
        items: int,
    ) -> None:
        """Take a snapshot; its item `i` has the row `row_of_I[i]` here, negative if it is gone."""
        Neighbours.__init__(self, self.size, self.half_life_s)
        self.reserve(items)
        row_N = row_of_I[state["rows_N"]]
        kept_N = row_N >= 0
        row_N = row_N[kept_N]
        ids_NM = np.asarray(state["ids_NM"])[kept_N]
        self.ids_IM[row_N] = np.where(ids_NM >= 0, row_of_I[ids_NM], -1)
        self.weights_IM[row_N] = np.asarray(state["weights_NM"])[kept_N]
        self.degrees_I[row_N] = np.asarray(state["degrees_N"])[kept_N]
        self._updated_I[row_N] = np.asarray(state["updated_N"])[kept_N]
