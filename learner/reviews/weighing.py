"""How much each reader counts, by what it read before it learnt.

Legend: `N` reviews, `F` outputs of all readers, `G` these and squares, `3` sentiments, `5` stars,
`K` reviews kept.

Stacking (Wolpert 1992; Breiman 1996) on a stream: what each reader said of the newest reviews
before their ratings were known is kept, and two softmax regressions of the truth on it follow by
Newton steps, one of sentiments, one of stars. A reader that says nothing about the truth gets no
weight, one that turns bad loses it as the ring turns. Weights are held to the readers' mean where
little has been seen. The rating is the stars' expectation: ratings crowd at five, and a weighed sum
of the readers', which knows of no end of the scale, errs by an eighth more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from learner.reviews.linear import softmax
from learner.reviews.ridge import with_one

HOLD = 4.0
"""How strongly weights are held to the readers' mean, in reviews that say all about one output."""

ANCHOR = 4.0
"""Stars from which ratings are counted here: means move, and what was said is kept."""

EAGER = 600
"""Reviews until which every micro-batch moves the weights, and then every eighth."""

EVERY = 8

_HALVINGS = 6


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
    >>> stars = chance.integers(1, 6, size=400).astype(float)
    >>> said = np.stack([stars - ANCHOR, chance.normal(size=400)], axis=1)
    >>> for start in range(0, 400, 40):
    ...     part = slice(start, start + 40)
    ...     _ = weighing.learn(said[part], np.where(stars[part] > 3, 2, 0), stars[part])
    >>> weighing.read(np.array([[-2.0, 1.0], [1.0, -1.0]]))[1].round().tolist()
    [2.0, 5.0]
    """

    def __init__(self, speaks: Sequence[int], kept: int, balance: float) -> None:
        self.kept, self.balance = kept, balance
        F = sum(speaks)
        self._rates = np.flatnonzero(np.repeat([outputs == 1 for outputs in speaks], speaks))
        G = F + len(self._rates)
        self.start_F3, self.start_G5 = np.zeros((F + 1, 3)), np.zeros((G + 1, 5))
        at = 0
        for outputs in speaks:
            if outputs == 3:  # noqa: PLR2004 - logits of sentiments
                self.start_F3[at : at + 3] = np.eye(3) / speaks.count(3)
            at += outputs
        self.sentiment_F3, self.stars_G5 = self.start_F3.copy(), self.start_G5.copy()
        self.said_KF = np.zeros((kept, F), np.float32)
        self.sentiment_K = np.zeros(kept, np.int64)
        self.rating_K = np.zeros(kept)
        self.added = self.batches = 0

    def __len__(self) -> int:
        """Reviews kept."""
        return min(self.added, self.kept)

    def read(self, said_NF: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logits of sentiments, (N, 3), and ratings, (N,), of what readers said.

        Before anything is learnt a rating is the mean of theirs.
        """
        logit_N3 = with_one(said_NF) @ self.sentiment_F3
        if not self.added:
            return logit_N3, ANCHOR + said_NF[:, self._rates].mean(axis=1)
        return logit_N3, softmax(self._squared(said_NF) @ self.stars_G5) @ np.arange(1.0, 6.0)

    def kept_logits(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Logits of the reviews that are kept, by the weights of now, and their sentiments."""
        n = len(self)
        return with_one(self.said_KF[:n]) @ self.sentiment_F3, self.sentiment_K[:n]

    def learn(
        self,
        said_NF: NDArray[np.float64],
        sentiment_N: NDArray[np.int64],
        rating_N: NDArray[np.float64],
    ) -> bool:
        """Keep what was said of reviews before they were learnt, and their truth.

        Returns whether the weights moved.
        """
        at_N = (self.added + np.arange(len(sentiment_N))) % self.kept
        self.said_KF[at_N] = said_NF
        self.sentiment_K[at_N], self.rating_K[at_N] = sentiment_N, rating_N
        self.added += len(sentiment_N)
        self.batches += 1
        moves = self.added <= EAGER or self.batches % EVERY == 0
        if moves:
            self._move()
        return moves

    def _move(self) -> None:
        n = len(self)
        said_KF = self.said_KF[:n].astype(np.float64)
        sentiment_K, stars_K = self.sentiment_K[:n], self.rating_K[:n].round().astype(np.int64) - 1
        weight_K = class_weights(sentiment_K, self.balance)[sentiment_K]
        x_KF, x_KG = with_one(said_KF), self._squared(said_KF)
        for _ in range(2):
            self.sentiment_F3 = _newton(
                self.sentiment_F3, self.start_F3, x_KF, sentiment_K, weight_K
            )
            self.stars_G5 = _newton(self.stars_G5, self.start_G5, x_KG, stars_K, np.ones(n))

    def _squared(self, said_NF: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs with squares of ratings: the stars in the middle have their top in the middle."""
        return with_one(np.concatenate([said_NF, said_NF[:, self._rates] ** 2], axis=1))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a checkpoint keeps."""
        n = len(self)
        return {
            "sentiment_F3": self.sentiment_F3,
            "stars_G5": self.stars_G5,
            "said_KF": self.said_KF[:n],
            "sentiment_K": self.sentiment_K[:n],
            "rating_K": self.rating_K[:n],
            "added": np.array([self.added, self.batches]),
        }

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a checkpoint."""
        n = len(state["rating_K"])
        self.sentiment_F3 = np.array(state["sentiment_F3"], np.float64)
        self.stars_G5 = np.array(state["stars_G5"], np.float64)
        self.said_KF[:n], self.sentiment_K[:n] = state["said_KF"], state["sentiment_K"]
        self.rating_K[:n] = state["rating_K"]
        self.added, self.batches = (int(value) for value in state["added"])


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


def _newton(
    now_FC: NDArray[np.float64],
    start_FC: NDArray[np.float64],
    x_KF: NDArray[np.float64],
    truth_K: NDArray[np.int64],
    weight_K: NDArray[np.float64],
) -> NDArray[np.float64]:
    """One step of a softmax regression that is held to where it started; `C` classes."""
    F, C = now_FC.shape

    def loss(of_FC: NDArray[np.float64]) -> float:
        share_K = softmax(x_KF @ of_FC)[np.arange(len(x_KF)), truth_K]
        missed = -float((weight_K * np.log(np.maximum(share_K, 1e-300))).sum())
        return missed + HOLD * float(((of_FC - start_FC) ** 2).sum()) / 2

    share_KC = softmax(x_KF @ now_FC)
    slope_FC = x_KF.T @ ((share_KC - np.eye(C)[truth_K]) * weight_K[:, None])
    slope_FC += HOLD * (now_FC - start_FC)
    bend = HOLD * np.eye(F * C)
    for a in range(C):
        for b in range(a, C):
            spread_K = weight_K * share_KC[:, a] * (float(a == b) - share_KC[:, b])
            block_FF = x_KF.T @ (x_KF * spread_K[:, None])
            bend[a * F : (a + 1) * F, b * F : (b + 1) * F] += block_FF
            if a != b:
                bend[b * F : (b + 1) * F, a * F : (a + 1) * F] += block_FF.T
    step_FC = np.linalg.solve(bend, slope_FC.T.ravel()).reshape(C, F).T
    before = loss(now_FC)
    for _ in range(_HALVINGS):  # far from the minimum a whole step can lead away from it
        if loss(now_FC - step_FC) <= before:
            return np.asarray(now_FC - step_FC)
        step_FC = step_FC / 4
    return now_FC
