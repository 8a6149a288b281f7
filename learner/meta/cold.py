"""What can be said of candidates for a user with few events: what is taken now, and their taste.

Legend: `B` users, `T` past steps, `K` candidates, `G` features, `W` windows, `I` catalogue rows,
`E` width of text, `D` width of a head, `U` distinct rows, `N` events.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.batch import Histories
from learner.evidence import TOGETHER_FADE
from learner.features import POP_FLOOR
from learner.meta.trained import Trained

WINDOWS = (100.0, 300.0, 1_000.0, 3_000.0)
"""Half-lives of what is taken now, in events of the shop."""

NAMES = ("score", "now_100", "now_300", "now_1000", "now_3000", "taste", "adapted")
"""The ranking's own score first."""

LIKED = 3.0
"""A lower rating speaks against an item, and counts half of that."""


class Pulse:
    """What was taken of late, by item, at several half-lives counted in events.

    >>> pulse = Pulse()
    >>> pulse.learn(np.array([1, 1, 0]), items=3)
    >>> pulse.counts_WI[0].round(2).tolist()
    [0.99, 1.98, 0.0]
    """

    def __init__(self) -> None:
        self.counts_WI = np.zeros((len(WINDOWS), 0))

    def learn(self, target_N: NDArray[np.integer[Any]], items: int) -> None:
        """Count events, the newest last: all as old as the middle of them."""
        self.reserve(items)
        fade_W = 0.5 ** (len(target_N) / np.array(WINDOWS))
        self.counts_WI *= fade_W[:, None]
        added_I = np.bincount(target_N, minlength=self.counts_WI.shape[1])
        self.counts_WI += np.sqrt(fade_W)[:, None] * added_I

    def reserve(self, items: int) -> None:
        """Make room for so many rows."""
        have = self.counts_WI.shape[1]
        if items > have:
            self.counts_WI = np.pad(self.counts_WI, ((0, 0), (0, max(items, 2 * have) - have)))

    def log_shares(self, rows_BK: NDArray[np.int32], items: int) -> NDArray[np.float32]:
        """Log of each item's share of what was taken, over the mean item's, (B, K, W)."""
        self.reserve(items)
        total_W = np.maximum(self.counts_WI.sum(axis=1), 1.0)
        share_BKW = self.counts_WI.T[np.maximum(rows_BK, 0)] / total_W
        return np.asarray(np.log(share_BKW * items / POP_FLOOR + 1.0) / 4.0, np.float32)

    def tops(self, allowed_I: NDArray[np.bool_], count: int) -> NDArray[np.int32]:
        """The allowed items with the highest counts in any window that have one."""
        self.reserve(len(allowed_I))
        found = []
        for counts_I in self.counts_WI[:, : len(allowed_I)]:
            score_I = np.where(allowed_I, counts_I, 0.0)
            take = min(count, len(score_I))
            best = np.argpartition(-score_I, take - 1)[:take] if take else np.zeros(0, np.int64)
            found.append(best[score_I[best] > 0])
        return np.unique(np.concatenate(found)).astype(np.int32)


def cold_features(
    past: Histories,
    rows_BK: NDArray[np.int32],
    now_BKW: NDArray[np.float32],
    vector_IE: NDArray[np.float32],
    trained: Trained | None,
) -> NDArray[np.float32]:
    """What is added for users with few events, (B, K, G - 1): all of `NAMES` but the score."""
    B, K = rows_BK.shape
    at_BK = np.maximum(rows_BK, 0)
    out_BKG = np.zeros((B, K, len(NAMES) - 1), np.float32)
    out_BKG[:, :, : len(WINDOWS)] = now_BKW
    if trained is not None and B:
        with torch.no_grad():
            said_BK2 = _said(past, at_BK, vector_IE, trained)
        out_BKG[:, :, len(WINDOWS) :] = said_BK2.numpy()
    out_BKG[rows_BK < 0] = 0.0
    return out_BKG


def _said(
    past: Histories, at_BK: NDArray[np.int32], vector_IE: NDArray[np.float32], trained: Trained
) -> Tensor:
    """What the taste prototype and the adapted head say of each candidate, (B, K, 2)."""
    rows_BT = past.rows_BT[:, -trained.taste.support :]
    rating_BT = past.ratings_BT[:, -trained.taste.support :]
    weight_BT = np.where((rating_BT > 0) & (rating_BT < LIKED), -0.5, 1.0) * (rows_BT >= 0)
    weight_BT *= TOGETHER_FADE ** np.arange(rows_BT.shape[1] - 1, -1, -1)
    weight = torch.from_numpy(weight_BT.astype(np.float32))
    # Each row that is asked for is mapped once: users share most of their candidates.
    rows_U, at_N = np.unique(
        np.concatenate([at_BK.ravel(), np.maximum(rows_BT, 0).ravel()]), return_inverse=True
    )
    text_UE = torch.from_numpy(np.ascontiguousarray(vector_IE[rows_U], np.float32))
    at_cand = torch.from_numpy(at_N[: at_BK.size].reshape(at_BK.shape))
    at_past = torch.from_numpy(at_N[at_BK.size :].reshape(rows_BT.shape))
    mapped_UE, read_UD = trained.map(text_UE), trained.taste.items(text_UE)
    pooled_BE = torch.einsum("bte,bt->be", mapped_UE[at_past], weight)
    pooled_BE /= weight.abs().sum(dim=1, keepdim=True).clamp(min=1e-9)
    head_BD = trained.taste.heads(text_UE[at_past], weight)
    near_BK = (pooled_BE @ mapped_UE.T).gather(1, at_cand)
    liked_BK = (head_BD @ read_UD.T).gather(1, at_cand)
    return torch.stack([near_BK, liked_BK], dim=2)
