"""How much the past steps of users speak for the items of their lists: what reasons are made of.

Legend: `B` users, `P` items of a list, `T` past steps, `M` neighbours, `E` width of text vectors,
`N` pairs of a step and an item that are neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.evidence import SHRUNK_BY, TOGETHER_FADE
from learner.experts import Experts

TEXT_EVIDENCE = 0.2
"""How much a wholly similar text speaks for an item, beside the share of moves to it."""

HEARD = 16
"""So many of the newest steps speak: what is older counts for less than a thirtieth."""


def speaks_for(
    experts: Experts,
    vectors_IE: NDArray[np.float32],
    past_BT: NDArray[np.int32],
    rows_BP: NDArray[np.int32],
) -> NDArray[np.float32]:
    """How much each step speaks for each item, (B, P, T); 0 says nothing.

    It is what went from the step's item to this one, plus likeness of text, fading with age. A step
    without a row, or at the item itself, says nothing.

    Parameters
    ----------
    experts
        What was counted; with room for all rows.
    vectors_IE
        The catalogue's text vectors.
    past_BT
        The steps' items as rows, the newest in the last column; negative ones are padding.
    rows_BP
        The lists, negative where they are short.
    """
    B, T = past_BT.shape
    P = rows_BP.shape[1]
    weight_BPT = np.zeros((B, P, T), np.float32)
    past_BT, heard_BPT = past_BT[:, -HEARD:], weight_BPT[:, :, -HEARD:]
    if not heard_BPT.size:
        return weight_BPT
    at_BT, at_BP = np.maximum(past_BT, 0), np.maximum(rows_BP, 0)
    like_BPT = vectors_IE[at_BP] @ vectors_IE[at_BT].transpose(0, 2, 1)
    said_BPT = TEXT_EVIDENCE * np.maximum(like_BPT, 0.0)
    said_N, width = said_BPT.reshape(-1), at_BT.shape[1]
    for table in (experts.following, experts.together):
        ids_BTM = table.ids_IM[at_BT]
        hit_N = np.flatnonzero(ids_BTM[:, None] == at_BP[:, :, None, None])
        place_N, m_N = np.divmod(hit_N, table.size)
        source_N = at_BT[place_N // (P * width), place_N % width]
        share_N = table.weights_IM[source_N, m_N] / (table.degrees_I[source_N] + SHRUNK_BY)
        said_N[place_N] += share_N  # An item is in a list once: no place comes twice.
    said_BPT *= TOGETHER_FADE ** np.arange(width - 1, -1, -1, dtype=np.float32)
    real_BPT = (past_BT >= 0)[:, None] & (rows_BP >= 0)[:, :, None]
    real_BPT &= past_BT[:, None] != rows_BP[:, :, None]
    heard_BPT[:] = np.where(real_BPT, said_BPT, 0.0)
    return weight_BPT
