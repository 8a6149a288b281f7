"""How alike the candidates' texts are to what users looked at, and to what they praised.

Legend: `B` users, `K` candidates, `I` catalogue rows, `T` past steps, `E` width of text vectors,
`W` pooled texts of a user.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.batch import Histories
from learner.evidence import TOGETHER_FADE
from learner.ngram_vectors import unit_rows

WINDOWS = (10, 1)
"""Of how many of the newest items the text counts: of late, and at last."""

POOLED = len(WINDOWS) + 1
"""With what was praised, which comes last."""

PRAISE_FADE = 0.85
"""What is left of a rating after each newer one: half after four."""


def pooled(vectors_IE: NDArray[np.float32], past: Histories) -> NDArray[np.float32]:
    """What users looked at of late, and at last, as texts: (B, 2, E).

    Where any of them has rated anything, what each praised comes third: (B, 3, E).
    """
    texts = [pool_text(vectors_IE, past.rows_BT, window) for window in WINDOWS]
    if past.ratings_BT.any():
        texts.append(pool_praise(vectors_IE, past.rows_BT, past.ratings_BT))
    return np.stack(texts, axis=1)


def pool_text(
    vectors_IE: NDArray[np.float32], rows_BT: NDArray[np.int32], window: int
) -> NDArray[np.float32]:
    """What each user looked at of late, as one L2-normalised text vector; zero without a past."""
    recent_BW = rows_BT[:, ::-1][:, :window]
    weight_BW = np.where(
        recent_BW >= 0, TOGETHER_FADE ** np.arange(recent_BW.shape[1]), 0.0
    ).astype(np.float32)
    pooled_BE = np.einsum("bw,bwe->be", weight_BW, vectors_IE[np.maximum(recent_BW, 0)])
    return unit_rows(pooled_BE)


def pool_praise(
    vectors_IE: NDArray[np.float32], rows_BT: NDArray[np.int32], ratings_BT: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What each user praised, less what they complained of, as one text vector of length 1 or 0.

    >>> tea, bike = np.eye(2, dtype=np.float32)
    >>> rated = pool_praise(np.stack([tea, bike]), np.array([[0, 1]]), np.array([[1.0, 5.0]]))
    >>> [round(float(x), 2) for x in rated[0]]
    [-0.65, 0.76]
    """
    weight_BT = np.where((rows_BT >= 0) & (ratings_BT > 0), (ratings_BT - 3.0) / 2.0, 0.0)
    newer_BT = np.cumsum((weight_BT != 0)[:, ::-1], axis=1)[:, ::-1] - (weight_BT != 0)
    weight_BT = (weight_BT * PRAISE_FADE**newer_BT).astype(np.float32)
    at_B, at_T = np.nonzero(weight_BT)
    pooled_BE = np.zeros((len(rows_BT), vectors_IE.shape[1]), np.float32)
    np.add.at(pooled_BE, at_B, weight_BT[at_B, at_T, None] * vectors_IE[rows_BT[at_B, at_T]])
    return unit_rows(pooled_BE)


def alike(
    pooled_BWE: Tensor | None, text_IE: Tensor, rows_BK: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Likeness of each candidate's text to what was looked at of late, at last, and praised."""
    nothing_BK = np.zeros(rows_BK.shape, np.float32)
    found = [] if pooled_BWE is None else _likeness(pooled_BWE, text_IE, rows_BK)
    found += [nothing_BK] * (POOLED - len(found))
    recent_BK, last_BK, praised_BK = found
    return recent_BK, last_BK, praised_BK


def _likeness(
    pooled_BWE: Tensor, text_IE: Tensor, rows_BK: NDArray[np.int32]
) -> list[NDArray[np.float32]]:
    B, K = rows_BK.shape
    W = pooled_BWE.shape[1]
    if len(text_IE) <= B * K:
        all_BWI = (pooled_BWE.flatten(0, 1) @ text_IE.T).view(B, W, -1)
        return [picked(like_BI, rows_BK) for like_BI in all_BWI.unbind(1)]
    at_N = torch.from_numpy(np.maximum(rows_BK, 0).ravel()).to(text_IE.device)
    text_BKE = text_IE.index_select(0, at_N).view(B, K, -1)
    like_BKW = torch.bmm(text_BKE, pooled_BWE.transpose(1, 2)).cpu().numpy()
    like_BKW[rows_BK < 0] = 0.0
    return [like_BKW[:, :, w] for w in range(W)]


def picked(score_BI: Tensor | None, rows_BK: NDArray[np.int32]) -> NDArray[np.float32]:
    """The candidates' scores of all items'; 0 of padding, and where nothing is scored."""
    if score_BI is None:
        return np.zeros(rows_BK.shape, np.float32)
    at_BK = torch.from_numpy(np.maximum(rows_BK, 0).astype(np.int64)).to(score_BI.device)
    return np.where(rows_BK >= 0, score_BI.gather(1, at_BK).cpu().numpy(), np.float32(0.0))
