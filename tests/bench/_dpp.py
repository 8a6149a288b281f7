"""Lists by a determinantal point process: good items whose vectors span the most together.

Legend: `B` users, `K` candidates, `P` picks, `D` width of the text vectors.

Greedy maximisation of `θ Σ relevance + (1 - θ) log det(likeness of those picked)`, each step in
time linear in the candidates [1]_. MMR asks how like a candidate is to the nearest one picked, this
asks how much of it the picked ones leave unsaid together.

.. [1] Chen, Zhang & Zhou, Fast Greedy MAP Inference for Determinantal Point Process to Improve
   Recommendation Diversity, NeurIPS 2018, https://arxiv.org/abs/1709.05135.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.ranker import Floats

_LEAST = np.float32(1e-6)
"""What is left of an item that the picked ones say wholly."""


class Spanned:
    """How much of each candidate the picked ones leave unsaid.

    Parameters
    ----------
    vectors_BKD
        L2-normalised; an item without a text, a row of zeros, is unlike all others.

    Examples
    --------
    Two teapots and a hammer, after the first teapot:

    >>> spanned = Spanned(np.array([[[1, 0], [0.8, 0.6], [0, 1]]], np.float32), picks=2)
    >>> spanned.take(np.array([0]))
    >>> [round(left, 2) for left in spanned.left_BK[0].tolist()]
    [0.0, 0.36, 1.0]
    """

    def __init__(self, vectors_BKD: Floats, picks: int) -> None:
        users, candidates, _ = vectors_BKD.shape
        self._vectors_BKD = vectors_BKD
        self._said_BKP = np.zeros((users, candidates, picks), np.float32)
        self._picks = 0
        self.left_BK: Floats = np.ones((users, candidates), np.float32)
        """The squared length of what is left: of the determinant, the factor that a pick adds."""

    def gain_BK(self) -> Floats:
        """What each candidate adds to the logarithm of the determinant."""
        gain: Floats = np.log(np.maximum(self.left_BK, _LEAST))
        return gain

    def take(self, best_B: NDArray[np.intp]) -> None:
        """Note the next pick of each user."""
        users, n = np.arange(len(best_B)), self._picks
        said_BKP, left_BK = self._said_BKP, self.left_BK
        like_BK = (self._vectors_BKD @ self._vectors_BKD[users, best_B][:, :, None])[:, :, 0]
        like_BK[users, best_B] = 1.0
        own_BP1 = said_BKP[users, best_B, :n][:, :, None]
        root_B1 = np.sqrt(np.maximum(left_BK[users, best_B], _LEAST))[:, None]
        more_BK = (like_BK - (said_BKP[:, :, :n] @ own_BP1)[:, :, 0]) / root_B1
        said_BKP[:, :, n] = more_BK
        left_BK -= more_BK**2
        left_BK[users, best_B] = 0.0
        self._picks += 1
