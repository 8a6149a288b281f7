"""Maximal marginal relevance: a list of good items that differ from each other.

Legend: `B` users, `K` candidates, `P` picks, `D` width of the text vectors.

Carbonell & Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
Producing Summaries", SIGIR 1998, https://doi.org/10.1145/290941.291025.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.ranker import NOWHERE, Floats, Rows
from serving.same_product import NO_CODE, Codes

_SAME_ITEM_PENALTY = 10.0
"""Puts near duplicates behind all others: relevance and similarity stay within 0..1 each."""

_SHUT = 100.0
"""Puts padding, and behind it what is picked, below every value that a candidate can have."""

_SCALE_OVER = 20
"""Relevance 0 is the score of this candidate, or of twice as many as are wanted. Were it the last
of the pool, a single hopeless candidate would make all others look equally relevant."""

_CHUNK_FLOATS = 1_000_000
"""Vectors gathered at once, 4 MB: more falls out of the cache, less pays Python per user."""


class Diversity(NamedTuple):
    """How lists are spread out.

    Attributes
    ----------
    mmr_lambda
        1 keeps the candidates' order, 0 looks at difference alone.
    near_duplicate
        Candidates at least this similar to a picked one come last; above 1 switches it off.
    codes
        Which rows are of one product or category, for what follows; without, neither counts.
    category_cap
        After so many of a category come those of others, as long as there are any; 0: no cap.
    one_of_a_product
        A list holds one of a product, as long as there are others.
    """

    mmr_lambda: float
    near_duplicate: float = 2.0
    codes: Codes | None = None
    category_cap: int = 0
    one_of_a_product: bool = True

    @property
    def keeps_order(self) -> bool:
        """Whether nothing is to be done."""
        return self.mmr_lambda >= 1 and self.near_duplicate > 1 and self.codes is None


def diversify_many(
    rows_BK: Rows,
    scores_BK: Floats,
    vectors: Floats,
    *,
    wanted_B: Sequence[int],
    how: Diversity,
) -> tuple[Rows, Floats]:
    """Pick items one by one: each the best of `λ relevance - (1 - λ) likeness to those picked`.

    Parameters
    ----------
    rows_BK
        Candidates, best first, as rows of `vectors`; padded with -1.
    scores_BK
        Their scores; relevance is the score scaled to 0..1 within each user's candidates.
    vectors
        L2-normalised text vectors of the catalogue, shape (items, D).
    wanted_B
        How many to pick for each user.
    how
        How much they are spread out, and what is kept apart.

    Returns
    -------
    rows_BP, scores_BP
        The picks in their order, padded with -1, and the scores as they came in.

    Examples
    --------
    Two teapots and a hammer: the hammer is less relevant, but not another teapot.

    >>> vectors = np.array([[1, 0], [0.96, 0.28], [0, 1]], np.float32)
    >>> rows, scores = np.array([[0, 1, 2]], np.int32), np.array([[3, 2.8, 2.2]], np.float32)
    >>> diversify_many(rows, scores, vectors, wanted_B=[2], how=Diversity(0.5))[0].tolist()
    [[0, 2]]
    >>> diversify_many(rows, scores, vectors, wanted_B=[2], how=Diversity(1.0))[0].tolist()
    [[0, 1]]
    """
    users, candidates = rows_BK.shape
    picks = min(max(wanted_B, default=0), candidates)
    wanted_B1 = np.asarray(wanted_B, np.int64).reshape(users, 1)
    if users == 0 or picks == 0 or how.keeps_order:
        rows_BP, scores_BP = rows_BK[:, :picks].copy(), scores_BK[:, :picks].copy()
    else:
        chunk = max(1, _CHUNK_FLOATS // (candidates * vectors.shape[1]))
        rows_BP = np.empty((users, picks), np.int32)
        scores_BP = np.empty((users, picks), np.float32)
        for start in range(0, users, chunk):
            part = slice(start, start + chunk)
            relevance_BK = scale_rows(scores_BK[part], rows_BK[part], wanted_B1[part, 0])
            picked_BP = _pick(rows_BK[part], relevance_BK, vectors, picks, how)
            line_B1 = np.arange(len(picked_BP))[:, None]
            rows_BP[part] = rows_BK[part][line_B1, picked_BP]
            scores_BP[part] = scores_BK[part][line_B1, picked_BP]
    rows_BP[np.arange(picks) >= wanted_B1] = NOWHERE
    return rows_BP, scores_BP


def _pick(
    rows_BK: Rows, relevance_BK: Floats, vectors: Floats, picks: int, how: Diversity
) -> NDArray[np.intp]:
    """The candidates picked, by their place in the row; padding comes after all that is real."""
    users = np.arange(len(rows_BK))
    likeness_BK = np.zeros_like(relevance_BK)
    open_BK = how.mmr_lambda * relevance_BK
    open_BK[rows_BK == NOWHERE] -= _SHUT
    weight = np.float32(1 - how.mmr_lambda)
    compared = how.mmr_lambda < 1 or how.near_duplicate <= 1
    vectors_BKD = vectors[rows_BK] if compared else None
    groups = None if how.codes is None else _Groups(rows_BK, how.codes, how)
    picked_BP = np.empty((len(rows_BK), picks), np.intp)
    for pick in range(picks):
        value_BK = open_BK - weight * likeness_BK
        if how.near_duplicate <= 1:
            value_BK[likeness_BK >= how.near_duplicate] -= _SAME_ITEM_PENALTY
        if groups is not None:
            value_BK -= groups.penalty_BK()
        best_B = value_BK.argmax(axis=1)
        picked_BP[:, pick] = best_B
        open_BK[users, best_B] = -2 * _SHUT
        if pick + 1 < picks:
            if vectors_BKD is not None:
                picked_BD1 = vectors_BKD[users, best_B][:, :, None]
                np.maximum(likeness_BK, (vectors_BKD @ picked_BD1)[:, :, 0], out=likeness_BK)
            if groups is not None:
                groups.take(best_B)
    return picked_BP


class _Groups:
    """What is picked already of each candidate's product and category."""

    def __init__(self, rows_BK: Rows, codes: Codes, how: Diversity) -> None:
        self._cap, self._once = how.category_cap, how.one_of_a_product
        self._product_BK, self._category_BK = codes.product_I[rows_BK], codes.category_I[rows_BK]
        self._had_BK = np.zeros(rows_BK.shape, np.bool_)
        self._count_BK = np.zeros(rows_BK.shape, np.int32)

    def take(self, best_B: NDArray[np.intp]) -> None:
        """Note the next pick of each user."""
        users = np.arange(len(best_B))
        product_BK, category_BK = self._product_BK, self._category_BK
        mine_B1, kind_B1 = product_BK[users, best_B][:, None], category_BK[users, best_B][:, None]
        self._had_BK |= (product_BK == mine_B1) & (mine_B1 != NO_CODE)
        self._count_BK += (category_BK == kind_B1) & (kind_B1 != NO_CODE)

    def penalty_BK(self) -> Floats:
        """Puts what was had behind what is too much of its category, and both behind all else."""
        once = np.float32(2 * _SAME_ITEM_PENALTY if self._once else 0)
        penalty_BK: Floats = self._had_BK * once
        if self._cap:
            penalty_BK[self._count_BK >= self._cap] += _SAME_ITEM_PENALTY
        return penalty_BK


def scale_rows(scores_BK: Floats, rows_BK: Rows, wanted_B: NDArray[np.int64]) -> Floats:
    """Scale each user's scores: the best is 1, the twentieth and what comes after it 0.

    Of someone who wants more than ten items, twice as many as wanted stand for the twenty.

    >>> scores, rows = np.array([[4, 3, 2, 9]], np.float32), np.array([[5, 6, 7, -1]], np.int32)
    >>> scale_rows(scores, rows, np.array([2]))
    array([[1. , 0.5, 0. , 0. ]], dtype=float32)
    """
    real_BK = rows_BK != NOWHERE
    real_B = real_BK.sum(axis=1)
    last_B = np.maximum(np.minimum(np.maximum(_SCALE_OVER, 2 * wanted_B), real_B) - 1, 0)
    users = np.arange(len(rows_BK))
    clean_BK = np.where(real_BK, scores_BK, 0.0)
    low_B1, high_B1 = clean_BK[users, last_B][:, None], clean_BK[:, :1]
    span_B1 = high_B1 - low_B1
    flat_B1 = ~(span_B1 > 0)
    scaled_BK = np.clip((clean_BK - low_B1) / np.where(flat_B1, 1.0, span_B1), 0.0, 1.0)
    return np.where(real_BK, np.where(flat_B1, 1.0, scaled_BK), 0.0).astype(np.float32)
