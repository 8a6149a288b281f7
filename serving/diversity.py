"""Maximal marginal relevance: a list of good items that differ from each other.

Legend: `B` users, `K` candidates, `P` picks, `D` width of the text vectors.

Carbonell & Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
Producing Summaries", SIGIR 1998, https://doi.org/10.1145/290941.291025.
"""

from __future__ import annotations

import numpy as np

from serving.ranker import NOWHERE, Floats, Rows

_SAME_ITEM_PENALTY = 10.0
"""Puts near duplicates behind all others: relevance and similarity stay within 0..1 each."""

_CHUNK_FLOATS = 1_000_000
"""Vectors gathered at once, 4 MB: more falls out of the cache, less pays Python per user."""


def diversify_many(
    rows_BK: Rows,
    scores_BK: Floats,
    vectors: Floats,
    *,
    picks: int,
    mmr_lambda: float,
    near_duplicate: float = 2.0,
) -> tuple[Rows, Floats]:
    """Pick items one by one: each the best of `λ relevance - (1 - λ) likeness to those picked`.

    Parameters
    ----------
    rows_BK
        Candidates, best first, as rows of `vectors`; -1 where there is none.
    scores_BK
        Their scores; relevance is the score scaled to 0..1 within each user's candidates.
    vectors
        L2-normalised text vectors of the catalogue, shape (items, D).
    picks
        How many to pick.
    mmr_lambda
        1 keeps the candidates' order, 0 looks at difference alone.
    near_duplicate
        Candidates at least this similar to a picked one come last; above 1 switches it off.

    Returns
    -------
    rows_BP, scores_BP
        The picks in their order, padded with -1, and the scores as they came in.

    Examples
    --------
    Two teapots and a hammer: the hammer is less relevant, but not another teapot.

    >>> vectors = np.array([[1, 0], [0.96, 0.28], [0, 1]], np.float32)
    >>> rows, scores = np.array([[0, 1, 2]], np.int32), np.array([[3, 2.8, 2.2]], np.float32)
    >>> diversify_many(rows, scores, vectors, picks=2, mmr_lambda=0.5)[0].tolist()
    [[0, 2]]
    >>> diversify_many(rows, scores, vectors, picks=2, mmr_lambda=1.0)[0].tolist()
    [[0, 1]]
    """
    users, candidates = rows_BK.shape
    picks = min(picks, candidates)
    if users == 0 or picks == 0 or (mmr_lambda >= 1 and near_duplicate > 1):
        return rows_BK[:, :picks], scores_BK[:, :picks]
    chunk = max(1, _CHUNK_FLOATS // max(1, candidates * vectors.shape[1]))
    rows_BP = np.empty((users, picks), np.int32)
    scores_BP = np.empty((users, picks), np.float32)
    for start in range(0, users, chunk):
        part = slice(start, start + chunk)
        rows_BP[part], scores_BP[part] = _pick(
            rows_BK[part],
            scores_BK[part],
            vectors,
            picks=picks,
            mmr_lambda=mmr_lambda,
            near_duplicate=near_duplicate,
        )
    return rows_BP, scores_BP


def _pick(
    rows_BK: Rows,
    scores_BK: Floats,
    vectors: Floats,
    *,
    picks: int,
    mmr_lambda: float,
    near_duplicate: float,
) -> tuple[Rows, Floats]:
    users = np.arange(len(rows_BK))
    real_BK = rows_BK != NOWHERE
    vectors_BKD = vectors[rows_BK]
    relevance_BK = scale_rows(scores_BK, real_BK)
    likeness_BK = np.zeros_like(relevance_BK)
    open_BK = real_BK.copy()
    rows_BP = np.full((len(rows_BK), picks), NOWHERE, np.int32)
    scores_BP = np.zeros((len(rows_BK), picks), np.float32)
    for pick in range(picks):
        value_BK = mmr_lambda * relevance_BK - (1 - mmr_lambda) * likeness_BK
        value_BK -= np.where(likeness_BK >= near_duplicate, _SAME_ITEM_PENALTY, 0.0)
        value_BK[~open_BK] = -np.inf
        best_B = value_BK.argmax(axis=1)
        found_B = open_BK[users, best_B]
        rows_BP[found_B, pick] = rows_BK[users, best_B][found_B]
        scores_BP[found_B, pick] = scores_BK[users, best_B][found_B]
        open_BK[users, best_B] = False
        if pick + 1 < picks:
            picked_BD1 = vectors_BKD[users, best_B][:, :, None]
            likeness_BK = np.maximum(likeness_BK, (vectors_BKD @ picked_BD1)[:, :, 0])
    return rows_BP, scores_BP


def scale_rows(
    scores_BK: Floats, real_BK: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> Floats:
    """Scale each user's scores to 0..1 over the real candidates; a flat row becomes all ones.

    >>> scale_rows(np.array([[4, 3, 2, 9]], np.float32), np.array([[True, True, True, False]]))
    array([[1. , 0.5, 0. , 0. ]], dtype=float32)
    """
    low_B = np.where(real_BK, scores_BK, np.inf).min(axis=1, initial=np.inf)
    high_B = np.where(real_BK, scores_BK, -np.inf).max(axis=1, initial=-np.inf)
    span_B = high_B - low_B
    usable_B = np.isfinite(span_B) & (span_B > 0)
    low_B, span_B = np.where(usable_B, low_B, 0.0), np.where(usable_B, span_B, 1.0)
    scaled_BK = np.where(usable_B[:, None], (scores_BK - low_B[:, None]) / span_B[:, None], 1.0)
    return np.where(real_BK, scaled_BK, 0.0).astype(np.float32)
