"""Matrix factorisation by Bayesian personalised ranking, learnt from the stream.

Reference: S. Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009.
Steps are Adagrad's (Duchi et al., JMLR 2011), so that rare users and items move far on few events.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from learner.baselines.full_ranking import FullRanking, RankingConfig, Scores
from learner.baselines.protocol import Events

_TINY = 1e-8
"""Keeps Adagrad's first step finite."""

Float = NDArray[np.float32]


class BprConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Size and steps of the factorisation."""

    width: Annotated[int, Meta(gt=0, description="Factors of a user and of an item.")] = 32
    step: Annotated[float, Meta(gt=0, description="Adagrad's step size.")] = 0.05
    decay: Annotated[float, Meta(ge=0, description="L2 pull on the rows of a step.")] = 0.01
    passes: Annotated[int, Meta(gt=0, description="Times that a micro-batch is gone over.")] = 4
    negatives: Annotated[
        int, Meta(gt=0, description="Known items drawn against each event, uniformly, per pass.")
    ] = 4
    seed: Annotated[int, Meta(description="Seed of first factors and negatives.")] = 0


class BprMf(FullRanking):
    """Scores an item by its bias plus the product of user and item factors.

    A user's factors are as of before the micro-batch, also where histories are fresh: they are
    weights. An unknown user gets the items' biases.
    """

    def __init__(self, config: RankingConfig, bpr: BprConfig | None = None) -> None:
        super().__init__("BPR-MF", config)
        self.bpr = bpr or BprConfig()
        self._random = np.random.default_rng(self.bpr.seed)
        width = self.bpr.width
        self._bias_I: Float = np.zeros(config.n_items, np.float32)
        self._item_ID: Float = self._first(config.n_items)
        self._user_UD: Float = np.zeros((0, width), np.float32)
        self._bias_seen_I: Float = np.zeros(config.n_items, np.float32)
        self._item_seen_ID: Float = np.zeros((config.n_items, width), np.float32)
        self._user_seen_UD: Float = np.zeros((0, width), np.float32)
        self._met_U: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def score(self, batch: Events, history_BT: NDArray[np.int32]) -> Scores:
        """Multiply users with all items."""
        self._reserve(batch.user)
        user_BD = self._user_UD[batch.user] * self._met_U[batch.user, None]
        scores_BI: Scores = user_BD @ self._item_ID.T
        scores_BI += self._bias_I
        return scores_BI

    def count(self, batch: Events, history_BT: NDArray[np.int32]) -> None:
        """Step towards each event's item and away from random known ones."""
        self._reserve(batch.user)
        self._met_U[batch.user] = True
        known = np.union1d(np.flatnonzero(self.known), batch.item)
        user_N = np.repeat(batch.user, self.bpr.negatives)
        wanted_N = np.repeat(batch.item, self.bpr.negatives)
        for _ in range(self.bpr.passes):
            self._step(user_N, wanted_N, self._random.choice(known, user_N.size))

    def _step(
        self, user_N: NDArray[np.int32], wanted_N: NDArray[np.int32], other_N: NDArray[np.int32]
    ) -> None:
        """Climb log sigmoid(wanted's score - other's); an event drawn against itself is idle."""
        decay = self.bpr.decay
        user_ND = self._user_UD[user_N]
        wanted_ND, other_ND = self._item_ID[wanted_N], self._item_ID[other_N]
        margin_N = np.einsum("nd,nd->n", user_ND, wanted_ND - other_ND)
        margin_N += self._bias_I[wanted_N] - self._bias_I[other_N]
        pull_N = 1.0 / (1.0 + np.exp(np.clip(margin_N, -30.0, 30.0)))
        pull_N *= wanted_N != other_N
        pull_N1 = pull_N[:, None]
        item_N2 = np.concatenate([wanted_N, other_N])
        both_ND = np.concatenate([pull_N1 * user_ND, -pull_N1 * user_ND])
        both_ND -= decay * self._item_ID[item_N2]
        self._climb(
            self._user_UD,
            self._user_seen_UD,
            user_N,
            pull_N1 * (wanted_ND - other_ND) - decay * user_ND,
        )
        self._climb(self._item_ID, self._item_seen_ID, item_N2, both_ND)
        bias_N2 = np.concatenate([pull_N, -pull_N]) - decay * self._bias_I[item_N2]
        self._climb(self._bias_I, self._bias_seen_I, item_N2, bias_N2)

    def _climb(self, table: Float, seen: Float, row_N: NDArray[np.int32], up: Float) -> None:
        """Adagrad on the touched rows, gradients of a row summed first."""
        rows, which = np.unique(row_N, return_inverse=True)
        summed = np.zeros((rows.size, *table.shape[1:]), np.float32)
        np.add.at(summed, which, up.astype(np.float32))
        seen[rows] += summed**2
        table[rows] += self.bpr.step * summed / (np.sqrt(seen[rows]) + _TINY)

    def _first(self, rows: int) -> Float:
        first: Float = self._random.normal(0.0, 0.1, (rows, self.bpr.width)).astype(np.float32)
        return first

    def _reserve(self, user_B: NDArray[np.int32]) -> None:
        """Make room for users in steps of doubling, so that first factors depend on users alone."""
        largest = int(user_B.max(initial=-1))
        while largest >= len(self._user_UD):
            more = max(1024, len(self._user_UD))
            self._user_UD = np.concatenate([self._user_UD, self._first(more)])
            nothing = np.zeros((more, self.bpr.width), np.float32)
            self._user_seen_UD = np.concatenate([self._user_seen_UD, nothing])
            self._met_U = np.concatenate([self._met_U, np.zeros(more, np.bool_)])
