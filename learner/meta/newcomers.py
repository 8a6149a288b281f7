"""Newcomers: users with few events get a layer of their own on top of the ranking.

Legend: `B` users, `T` past steps, `K` candidates, `G` cold features, `S` segments, `W` windows,
`I` catalogue rows, `E` width of text, `C` tops of one expert.

What is known of a user with one event is little, so the layer adds what doesn't need much: what
everybody took among the newest hundreds of events (a prototype of the moment, moved by each event,
and counted in events where popularity counts in hours), how near an item is to the user's taste
prototype, and what an adapted head says of it (`learner.meta.trained`; both zero without a base
that has them). One weight per feature and segment, beside the ranking's own score, is learnt by an
online Newton step as in `learner.stacking`; how much the layer counts is decided by what it gained
of late (Hedge, as in `learner.correction`). Nobody else's scores are touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.batch import Histories
from learner.correction import WEIGH_MEMORY
from learner.measures import ranks
from learner.meta.cold import NAMES, WINDOWS, Pulse, cold_features
from learner.meta.config import MetaConfig
from learner.meta.trained import Trained
from learner.ranking_metrics import gains
from learner.stacking import MEMORY, NEAR, RIDGE

SEGMENTS = ("none", "some")
"""Users without an event, and with one or a few."""

RIDGE_SCORE = 10.0
"""The score starts with more than `learner.stacking.RIDGE`, because it is right already."""


class Few(NamedTuple):
    """The users of a batch who have few events, and their segments."""

    users_N: NDArray[np.int64]
    segment_N: NDArray[np.int64]


class Newcomers:
    """The layer: counts, weights per segment, and what it gained."""

    def __init__(self, config: MetaConfig, trained: Trained | None = None) -> None:
        self.config, self.trained = config, trained
        self.pulse = Pulse()
        G, S = len(NAMES), len(SEGMENTS)
        self.weights_SG = np.zeros((S, G))
        self.weights_SG[:, 0] = 1.0
        self._ridge_GG = np.diag([RIDGE_SCORE, *[RIDGE] * (G - 1)])
        self.curvature_SGG = np.repeat(self._ridge_GG[None], S, axis=0)
        self.lost_S2 = np.zeros((S, 2))
        self.ranked_S = np.zeros(S, np.int64)
        """Users whose scores the layer had a say in, since they were taken."""
        self._clear()

    def _clear(self) -> None:
        self._slope_SG = np.zeros_like(self.weights_SG)
        self._bend_SGG = np.zeros_like(self.curvature_SGG)
        self._seen_S = np.zeros(len(SEGMENTS))
        self._losing_S2 = np.zeros((len(SEGMENTS), 2))

    def find(self, past: Histories) -> Few:
        """Who has few events."""
        users_N = np.flatnonzero(past.lengths_B < self.config.few)
        return Few(users_N, (past.lengths_B[users_N] > 0).astype(np.int64))

    def tops(self, past: Histories, allowed_I: NDArray[np.bool_]) -> NDArray[np.int32]:
        """What is taken now, as candidates of newcomers; -1 for everybody else: (B, C)."""
        best_C = self.pulse.tops(allowed_I, self.config.candidates)
        out_BC = np.full((len(past), len(best_C)), -1, np.int32)
        out_BC[self.find(past).users_N] = best_C
        return out_BC

    def rescore(
        self,
        past: Histories,
        rows_BK: NDArray[np.int32],
        score_BK: NDArray[np.float32],
        vector_IE: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """The scores, newcomers' with what the layer adds."""
        found = self.find(past)
        if not len(found.users_N):
            return score_BK
        self.ranked_S += np.bincount(found.segment_N, minlength=len(SEGMENTS))
        x_NKG = self._describe(past, found, rows_BK, score_BK, vector_IE)
        layer_NK = np.einsum("nkg,ng->nk", x_NKG, self.weights_SG[found.segment_N])
        counts_N1 = self._shares()[found.segment_N, 1:]
        out_BK = score_BK.copy()
        before_NK = score_BK[found.users_N]
        out_BK[found.users_N] = before_NK + counts_N1 * (layer_NK - before_NK)
        return out_BK

    def gather(  # noqa: PLR0913 - what was ranked, and for whom
        self,
        past: Histories,
        rows_BK: NDArray[np.int32],
        score_BK: NDArray[np.float32],
        vector_IE: NDArray[np.float32],
        *,
        real_BK: NDArray[np.bool_],
        target_B: NDArray[np.int64],
        teaches_B: NDArray[np.bool_],
    ) -> None:
        """Add ranked examples to the next step; scores are without the layer, targets places."""
        found = self.find(past)
        x_NKG = self._describe(past, found, rows_BK, score_BK, vector_IE)
        layer_NK = np.einsum("nkg,ng->nk", x_NKG, self.weights_SG[found.segment_N])
        real_NK, target_N = real_BK[found.users_N], target_B[found.users_N]
        worth_2N = [
            gains(ranks(score_NK, real_NK, target_N), k=100)
            for score_NK in (score_BK[found.users_N], layer_NK.astype(np.float32))
        ]
        for n, s in enumerate(found.segment_N.tolist()):
            if not teaches_B[found.users_N[n]]:
                continue
            self._losing_S2[s] += 1.0 - np.array([worth_2N[0][n], worth_2N[1][n]])
            self._seen_S[s] += 1
            if real_NK[n, target_N[n]]:
                self._add(s, x_NKG[n][real_NK[n]], int(real_NK[n, : target_N[n]].sum()))

    def _add(self, s: int, x_KG: NDArray[np.float64], target: int) -> None:
        score_K = x_KG @ self.weights_SG[s]
        share_K = np.exp(score_K - score_K.max())
        share_K /= share_K.sum()
        weight = 1.0 / ((score_K > score_K[target]).sum() / NEAR + 1.0)
        mean_G = share_K @ x_KG
        self._slope_SG[s] += weight * (x_KG[target] - mean_G)
        spread_GG = (x_KG * share_K[:, None]).T @ x_KG - np.outer(mean_G, mean_G)
        self._bend_SGG[s] += weight * spread_GG

    def learn(
        self,
        taught_N: NDArray[np.integer[Any]],
        items: int,
        add: Callable[[Tensor], None],
        factor: float = 1.0,
    ) -> None:
        """Step on what was gathered, then count what everybody took."""
        self._step(add, factor)
        self.pulse.learn(taught_N, items)

    def _step(self, add: Callable[[Tensor], None], factor: float) -> None:
        """Move the weights by what was gathered; `add` adds up with what peers have, in place."""
        for sums in (self._slope_SG, self._bend_SGG, self._seen_S, self._losing_S2):
            add(torch.from_numpy(sums))
        for s in np.flatnonzero(self._seen_S):
            fade = float(np.exp(-factor * self._seen_S[s] / MEMORY))
            kept_GG = (self.curvature_SGG[s] - self._ridge_GG) * fade
            self.curvature_SGG[s] = self._ridge_GG + kept_GG + self._bend_SGG[s]
            self.weights_SG[s] += np.linalg.solve(self.curvature_SGG[s], self._slope_SG[s])
            self.lost_S2[s] *= float(np.exp(-self._seen_S[s] / WEIGH_MEMORY))
            self.lost_S2[s] += self._losing_S2[s]
        self._clear()

    def _shares(self) -> NDArray[np.float64]:
        """How much the ranking alone and the layer count in each segment, (S, 2)."""
        worse_S2 = self.lost_S2 - self.lost_S2.min(axis=1, keepdims=True)
        weight_S2 = np.exp(-worse_S2)
        return np.asarray(weight_S2 / weight_S2.sum(axis=1, keepdims=True))

    @property
    def counts_S(self) -> NDArray[np.float64]:
        """How much the layer counts in each segment, from 0 to 1."""
        return self._shares()[:, 1]

    def take_ranked(self) -> dict[str, int]:
        """How many users had the layer's say since the last call, by segment."""
        ranked = dict(zip(SEGMENTS, self.ranked_S.tolist(), strict=True))
        self.ranked_S[:] = 0
        return ranked

    def _describe(
        self,
        past: Histories,
        found: Few,
        rows_BK: NDArray[np.int32],
        score_BK: NDArray[np.float32],
        vector_IE: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        rows_NK = rows_BK[found.users_N]
        now = self.pulse.log_shares(rows_NK, len(vector_IE))
        added = cold_features(past.take(found.users_N), rows_NK, now, vector_IE, self.trained)
        score_NK1 = score_BK[found.users_N][:, :, None]
        return np.concatenate([score_NK1, added], axis=2, dtype=np.float64)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps."""
        return {
            "weights_SG": self.weights_SG,
            "curvature_SGG": self.curvature_SGG,
            "lost_S2": self.lost_S2,
            "counts_WI": self.pulse.counts_WI,
        }

    def restore(
        self, state: Mapping[str, NDArray[np.generic]], row_of_I: NDArray[np.int64], items: int
    ) -> None:
        """Take a snapshot; its item `i` has the row `row_of_I[i]` here, negative if it is gone."""
        self.weights_SG = np.array(state["weights_SG"], np.float64)
        self.curvature_SGG = np.array(state["curvature_SGG"], np.float64)
        self.lost_S2 = np.array(state["lost_S2"], np.float64)
        counts_WI = np.zeros((len(WINDOWS), items))
        kept_I = row_of_I >= 0
        counts_WI[:, row_of_I[kept_I]] = state["counts_WI"][:, : len(row_of_I)][:, kept_I]
        self.pulse.counts_WI = counts_WI
