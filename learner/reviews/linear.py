"""The n-gram reader: a weight per n-gram for each sentiment and for the rating, learnt online.

Legend: `N` texts, `M` n-grams of texts, `U` different n-grams of a micro-batch, `V` buckets,
`4` outputs: negative, neutral, positive, rating.

N-grams count by how rare they are (TF-IDF, with the counts of the stream so far), steps are those
of Adagrad (Duchi, Hazan & Singer 2011), errors on rare sentiments weigh more.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learner.reviews.ngrams import KINDS, Bags

_EASE = 1e-3
"""Squared slope that a weight has at the start: its first steps are no larger than the rate."""

_STRENGTH = 8.0
"""Times which slopes are taken, so that `_EASE` is small beside them."""


class NgramReader:
    """Weights and counts by bucket.

    >>> from learner.reviews.ngrams import hashed
    >>> reader = NgramReader(bits=12, rate=0.2, l2=0.0)
    >>> bags = hashed(["很好", "很差"] * 8, bits=12, longest=3)
    >>> reader.count(bags)
    >>> for _ in range(20):
    ...     reader.learn(bags, np.array([2, 0] * 8), np.array([0.6, -3.4] * 8), np.ones(16))
    >>> out = reader.read(hashed(["真的很好", "差"], bits=12, longest=3))
    >>> out[:, :3].argmax(axis=1).tolist(), (out[:, 3] > -1).tolist()
    ([2, 0], [True, False])
    """

    def __init__(self, bits: int, rate: float, l2: float) -> None:
        self.bits, self.rate, self.l2 = bits, rate, l2
        V = KINDS << bits
        self.weight_V4 = np.zeros((V, 4), np.float32)
        self.slope_V4 = np.full((V, 4), _EASE, np.float32)
        self.texts_V = np.zeros(V, np.float32)
        self.texts = 0.0
        self.bias_4 = np.zeros(4)
        self.bias_slope_4 = np.full(4, 0.1)

    def read(self, bags: Bags) -> NDArray[np.float64]:
        """Three logits and a rating (from the mean on) per text, (N, 4)."""
        value_M = self._values(bags)
        product_M4 = self.weight_V4[bags.at_M] * value_M[:, None]
        return _sums(product_M4, bags) + self.bias_4

    def count(self, bags: Bags) -> None:
        """Count n-grams of new texts, rated or not."""
        np.add.at(self.texts_V, bags.at_M, np.float32(1))
        self.texts += len(bags.starts) - 1

    def learn(
        self,
        bags: Bags,
        sentiment_N: NDArray[np.int64],
        rating_N: NDArray[np.float64],
        weight_N: NDArray[np.float64],
    ) -> None:
        """One step; ratings are from the mean on (NaN: none), weights are the sentiments'."""
        N = len(sentiment_N)
        value_M = self._values(bags)
        out_N4 = _sums(self.weight_V4[bags.at_M] * value_M[:, None], bags) + self.bias_4
        error_N4 = np.empty((N, 4))
        error_N4[:, :3] = softmax(out_N4[:, :3])
        error_N4[np.arange(N), sentiment_N] -= 1
        error_N4[:, :3] *= weight_N[:, None]
        error_N4[:, 3] = np.nan_to_num(out_N4[:, 3] - rating_N)
        error_N4 *= _STRENGTH / N
        self._step(bags, value_M, error_N4.astype(np.float32))
        slope_4 = error_N4.mean(axis=0)
        self.bias_slope_4 += slope_4**2
        self.bias_4 -= self.rate * slope_4 / np.sqrt(self.bias_slope_4)

    def _step(
        self, bags: Bags, value_M: NDArray[np.float32], error_N4: NDArray[np.float32]
    ) -> None:
        if not len(bags.at_M):
            return
        order_M = np.argsort(bags.at_M, kind="stable")
        at_M = bags.at_M[order_M]
        first_U = np.flatnonzero(np.concatenate([[True], at_M[1:] != at_M[:-1]]))
        at_U = at_M[first_U]
        parts_M4 = (error_N4[bags.row_M] * value_M[:, None])[order_M]
        slope_U4 = np.add.reduceat(parts_M4, first_U, axis=0)
        slope_U4 += np.float32(self.l2) * self.weight_V4[at_U]
        total_U4 = self.slope_V4[at_U] + slope_U4**2
        self.slope_V4[at_U] = total_U4
        self.weight_V4[at_U] -= np.float32(self.rate) * slope_U4 / np.sqrt(total_U4)

    def _values(self, bags: Bags) -> NDArray[np.float32]:
        """TF-IDF, each kind of n-gram with half of a text's length of 1."""
        rarity_M = np.log((1 + self.texts) / (1 + self.texts_V[bags.at_M])) + 1
        value_M = bags.weight_M * rarity_M
        kind_M = bags.row_M * KINDS + (bags.at_M >> self.bits)
        length = np.bincount(kind_M, value_M**2, KINDS * (len(bags.starts) - 1))
        scale = 1 / np.sqrt(KINDS * np.maximum(length, 1e-9))
        return np.asarray(value_M * scale[kind_M], np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a checkpoint keeps."""
        return {
            "weight_V4": self.weight_V4,
            "slope_V4": self.slope_V4,
            "texts_V": self.texts_V,
            "texts": np.array([self.texts]),
            "bias_4": self.bias_4,
            "bias_slope_4": self.bias_slope_4,
        }

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a checkpoint."""
        self.weight_V4 = np.array(state["weight_V4"], np.float32)
        self.slope_V4 = np.array(state["slope_V4"], np.float32)
        self.texts_V = np.array(state["texts_V"], np.float32)
        self.texts = float(state["texts"][0])
        self.bias_4 = np.array(state["bias_4"], np.float64)
        self.bias_slope_4 = np.array(state["bias_slope_4"], np.float64)


def softmax(logit_N3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits to probabilities."""
    power_N3 = np.exp(logit_N3 - logit_N3.max(axis=-1, keepdims=True))
    return np.asarray(power_N3 / power_N3.sum(axis=-1, keepdims=True))


def _sums(value_M4: NDArray[np.float32], bags: Bags) -> NDArray[np.float64]:
    out = np.zeros((len(bags.starts) - 1, value_M4.shape[1]))
    full_N = np.flatnonzero(np.diff(bags.starts))
    if len(full_N):
        out[full_N] = np.add.reduceat(value_M4, bags.starts[:-1][full_N], axis=0)
    return out
