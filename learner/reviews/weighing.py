"""How much each reader counts, by what it read before it learnt.

Legend: `N` reviews, `F` outputs of all readers and a 1, `3` sentiments, `K` reviews kept.

Stacking (Wolpert 1992; Breiman 1996) on a stream: what each reader said of the newest reviews
before their ratings were known is kept, and a softmax regression (sentiment) and a ridge regression
(rating) of the truth on it are solved anew with every micro-batch, the former by a Newton step. A
reader that says nothing about the truth gets no weight, one that turns bad loses it as the ring
turns. Weights are held to the readers' mean where little has been seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from learner.reviews.linear import softmax

_HALVINGS = 6

ANCHOR = 4.0
"""Stars from which ratings are counted here: means move, and what was said is kept."""

HOLD = 4.0
"""How strongly weights are held to the readers' mean, in reviews that say all about one output."""


class Weighing:
    """What was said of the newest reviews, their truth, and the weights that follow from both.

    Parameters
    ----------
    speaks
        Readers' outputs: `3` for one that gives logits of sentiments, `1` for one that gives a
        rating, from `ANCHOR` on, in the order of the columns.
    kept
        Reviews that count.
    balance
        0 counts all reviews alike, 1 all sentiments.

    Examples
    --------
    Of two that rate, the second knows nothing:

    >>> weighing = Weighing(speaks=(1, 1), kept=500, balance=0.5)
    >>> chance = np.random.default_rng(0)
    >>> truth = chance.normal(size=400)
    >>> said = np.stack([truth, chance.normal(size=400)], axis=1)
    >>> weighing.learn(said, np.where(truth > 0, 2, 0), truth)
    >>> (weighing.rating_F.round(1) + 0.0).tolist()
    [1.0, 0.0, 0.0]
    """

    def __init__(self, speaks: Sequence[int], kept: int, balance: float) -> None:
        self.kept, self.balance = kept, balance
        F = sum(speaks) + 1
        self.start_F3, self.start_F = np.zeros((F, 3)), np.zeros(F)
        at = 0
        for outputs in speaks:
            if outputs == 1:
                self.start_F[at] = 1 / speaks.count(1)
            else:
                self.start_F3[at : at + 3] = np.eye(3) / speaks.count(3)
            at += outputs
        self.sentiment_F3, self.rating_F = self.start_F3.copy(), self.start_F.copy()
        self.said_KF = np.zeros((kept, F), np.float32)
        self.sentiment_K = np.zeros(kept, np.int64)
        self.rating_K = np.zeros(kept)
        self.added = 0

    def __len__(self) -> int:
        """Reviews kept."""
        return min(self.added, self.kept)

    def read(self, said_NF: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logits of sentiments, (N, 3), and ratings from `ANCHOR` on, of what readers said."""
        x_NF = _with_one(said_NF)
        return x_NF @ self.sentiment_F3, x_NF @ self.rating_F

    def kept_logits(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Logits of the reviews that are kept, by the weights of now, and their sentiments."""
        n = len(self)
        return self.said_KF[:n] @ self.sentiment_F3, self.sentiment_K[:n]

    def learn(
        self,
        said_NF: NDArray[np.float64],
        sentiment_N: NDArray[np.int64],
        rating_N: NDArray[np.float64],
    ) -> None:
        """Keep what was said of reviews before they were learnt, and their truth."""
        at_N = (self.added + np.arange(len(sentiment_N))) % self.kept
        self.said_KF[at_N] = _with_one(said_NF)
        self.sentiment_K[at_N], self.rating_K[at_N] = sentiment_N, rating_N
        self.added += len(sentiment_N)
        self.solve()

    def solve(self) -> None:
        """Solve for the ratings' weights, and take a Newton step with the sentiments'."""
        n = len(self)
        x_KF, sentiment_K = self.said_KF[:n].astype(np.float64), self.sentiment_K[:n]
        F = x_KF.shape[1]
        hold_FF = HOLD * np.eye(F)
        left_K = self.rating_K[:n] - x_KF @ self.start_F
        self.rating_F = self.start_F + np.linalg.solve(x_KF.T @ x_KF + hold_FF, x_KF.T @ left_K)

        weight_K = class_weights(sentiment_K, self.balance)[sentiment_K]
        share_K3 = softmax(x_KF @ self.sentiment_F3)
        error_K3 = share_K3 - np.eye(3)[sentiment_K]
        slope_F3 = x_KF.T @ (error_K3 * weight_K[:, None])
        slope_F3 += HOLD * (self.sentiment_F3 - self.start_F3)
        bend = np.kron(np.eye(3), hold_FF)
        for a in range(3):
            for b in range(3):
                spread_K = weight_K * share_K3[:, a] * (float(a == b) - share_K3[:, b])
                block_FF = x_KF.T @ (x_KF * spread_K[:, None])
                bend[a * F : (a + 1) * F, b * F : (b + 1) * F] += block_FF
        step_F3 = np.linalg.solve(bend, slope_F3.T.ravel()).reshape(3, F).T
        before = self._loss(self.sentiment_F3, x_KF, sentiment_K, weight_K)
        for _ in range(_HALVINGS):  # far from the minimum a whole step can lead away from it
            moved_F3 = self.sentiment_F3 - step_F3
            if self._loss(moved_F3, x_KF, sentiment_K, weight_K) <= before:
                self.sentiment_F3 = moved_F3
                break
            step_F3 /= 4

    def _loss(
        self,
        weight_F3: NDArray[np.float64],
        x_KF: NDArray[np.float64],
        sentiment_K: NDArray[np.int64],
        weight_K: NDArray[np.float64],
    ) -> float:
        share_K = softmax(x_KF @ weight_F3)[np.arange(len(x_KF)), sentiment_K]
        away = float(((weight_F3 - self.start_F3) ** 2).sum())
        return float(-(weight_K * np.log(np.maximum(share_K, 1e-300))).sum()) + HOLD * away / 2

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a checkpoint keeps."""
        n = len(self)
        return {
            "sentiment_F3": self.sentiment_F3,
            "rating_F": self.rating_F,
            "said_KF": self.said_KF[:n],
            "sentiment_K": self.sentiment_K[:n],
            "rating_K": self.rating_K[:n],
            "added": np.array([self.added]),
        }

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a checkpoint."""
        n = len(state["rating_K"])
        self.sentiment_F3 = np.array(state["sentiment_F3"], np.float64)
        self.rating_F = np.array(state["rating_F"], np.float64)
        self.said_KF[:n], self.sentiment_K[:n] = state["said_KF"], state["sentiment_K"]
        self.rating_K[:n] = state["rating_K"]
        self.added = int(state["added"][0])


def class_weights(sentiment_N: NDArray[np.int64], balance: float) -> NDArray[np.float64]:
    """How much an error on each sentiment counts, 1 on average over the reviews given.

    >>> class_weights(np.array([0, 2, 2, 2]), 1.0).round(2).tolist()
    [2.0, 2.0, 0.67]
    """
    count_3 = np.bincount(sentiment_N, minlength=3) + 1e-9
    weight_3 = np.minimum((count_3.sum() / count_3) ** balance, 1e3)
    mean = (weight_3 * count_3).sum() / count_3.sum()
    seen_3 = count_3 >= 1
    return np.asarray(np.where(seen_3, weight_3, weight_3[seen_3].max(initial=1.0)) / mean)


def _with_one(said_NF: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([said_NF, np.ones((len(said_NF), 1))], axis=1)
