"""What the encoder's vectors say as they are: a ridge regression, exact after every micro-batch.

Legend: `N` reviews, `E` width of the vectors and a 1, `4` outputs: sentiments and the rating.

Recursive least squares: sums of products are kept, and solved for. No step size, nothing to replay:
this knows after a hundred reviews what gradient steps know after thousands, and it is all that the
vectors say by straight lines. Old sums fade.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


class VectorReader:
    """Sums of products and the weights that follow from them.

    >>> reader = VectorReader(width=2, hold=0.1, memory=1e9)
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> reader.learn(x, np.where(x[:, 0] > 0, 2, 0), x[:, 1])
    >>> out = reader.read(np.array([[2.0, 1.0], [-2.0, 0.0]]))
    >>> out[:, :3].argmax(axis=1).tolist(), bool(abs(out[0, 3] - 1) < 0.05)
    ([2, 0], True)
    """

    def __init__(self, width: int, hold: float, memory: float) -> None:
        E = width + 1
        self.hold, self.memory = hold, memory
        self.product_EE: NDArray[np.float64] = np.zeros((E, E))
        self.product_E4: NDArray[np.float64] = np.zeros((E, 4))
        self.weight_E4: NDArray[np.float64] = np.zeros((E, 4))

    def read(self, vector_NE: NDArray[np.float64]) -> NDArray[np.float64]:
        """Three sentiments, about 0 to 1, and a rating from the mean on: (N, 4)."""
        return np.asarray(with_one(vector_NE) @ self.weight_E4)

    def learn(
        self,
        vector_NE: NDArray[np.float64],
        sentiment_N: NDArray[np.int64],
        rating_N: NDArray[np.float64],
    ) -> None:
        """Add reviews, and solve."""
        if not len(vector_NE):
            return
        x_NE = with_one(vector_NE)
        y_N4 = np.concatenate([np.eye(3)[sentiment_N], rating_N[:, None]], axis=1)
        fade = float(np.exp(-len(x_NE) / self.memory))
        self.product_EE = np.asarray(self.product_EE * fade + x_NE.T @ x_NE, np.float64)
        self.product_E4 = self.product_E4 * fade + x_NE.T @ y_N4
        held_EE = self.product_EE + self.hold * np.eye(len(self.product_EE))
        self.weight_E4 = np.asarray(np.linalg.solve(held_EE, self.product_E4), np.float64)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a checkpoint keeps."""
        return {
            "product_EE": self.product_EE,
            "product_E4": self.product_E4,
            "weight_E4": self.weight_E4,
        }

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a checkpoint."""
        self.product_EE = np.array(state["product_EE"], np.float64)
        self.product_E4 = np.array(state["product_E4"], np.float64)
        self.weight_E4 = np.array(state["weight_E4"], np.float64)


def with_one(vector_NE: NDArray[np.generic]) -> NDArray[np.float64]:
    """With a column of ones, whose weight is what is so in any case."""
    return np.concatenate([vector_NE, np.ones((len(vector_NE), 1))], axis=1)
