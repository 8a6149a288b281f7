"""The highest of very many scores, and a short form of texts that finds the nearest ones sooner.

Legend: `B` users, `I` catalogue rows, `C` tops, `G` groups of rows, `E` width of text vectors, `S`
width of their short form, `N` rows.

What is found here is only named: whoever is named is scored by its whole vector afterwards.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GROUPS_PER_TOP = 32
"""So many groups of rows for each top: fewer leave more to look through, more cost more to rank."""

SHORT = 96
"""Width of the short form, and"""

LOOKED_AT = 2.5
"""so many times as many rows as are wanted are compared by their whole vectors. Then 98 in 100 of
the nearest to a user's history are found, of 5,000 titles of recorded shops, and 94 of those to
one item; how many of 100,000 real titles is not measured."""

SAMPLE = 4_096
"""Texts from which the directions of the short form are taken."""

GROWN = 2
"""The directions are taken anew from a catalogue so many times as large as when they were."""


def tops(score_BI: Tensor, count: int, shut_N: Tensor | None = None) -> Tensor:
    """Rows of the highest scores, (B, C) in no order, exactly; `shut_N` are rows left out.

    Each row is in a group with those so many places further. A top is in a group whose highest is
    among the highest groups, so that only these are looked through.

    >>> tops(torch.tensor([[3.0, 9.0, 5.0]]), 2).sort().values.tolist()
    [[1, 2]]
    >>> score = torch.rand(2, 10_000)
    >>> bool((tops(score, 40).sort().values == score.topk(40).indices.sort().values).all())
    True
    """
    if shut_N is not None and len(shut_N):
        kept_BN = score_BI[:, shut_N]
        score_BI[:, shut_N] = -torch.inf
        found_BC = tops(score_BI, count)
        score_BI[:, shut_N] = kept_BN
        return found_BC
    B, items = score_BI.shape
    count = min(count, items)
    groups = GROUPS_PER_TOP * count
    if items < 2 * groups:
        return score_BI.topk(count).indices
    depth = items // groups
    high_BG = score_BI[:, : depth * groups].view(B, depth, groups).amax(1)
    group_BC = high_BG.topk(count).indices
    step_D = torch.arange(depth, device=score_BI.device)[:, None] * groups
    inside_BN = (group_BC[:, None, :] + step_D).flatten(1)
    rest_N = torch.arange(depth * groups, items, device=score_BI.device)
    row_BN = torch.cat([inside_BN, rest_N.expand(B, -1)], dim=1)
    return row_BN.gather(1, score_BI.gather(1, row_BN).topk(count).indices)


class ShortTexts:
    """Text vectors along the directions in which a catalogue's texts differ most.

    The product of two short forms is near that of the vectors: what is left out is what texts
    hardly differ in. A principal component analysis without centring, of a sample.
    """

    def __init__(self) -> None:
        self._directions_ES = torch.zeros(0, 0)
        self._made_of = 0
        self._short_SI = torch.zeros(0, 0)
        """A column per item: read along its rows, it is scanned twice as fast for a single user."""

    def follow(self, text_IE: Tensor, changed_N: NDArray[np.int64]) -> None:
        """Take new and changed rows in."""
        items = len(text_IE)
        if items >= GROWN * self._made_of:
            self._made_of = items
            every = text_IE[:: max(1, items // SAMPLE)]
            self._directions_ES = torch.linalg.eigh(every.T @ every).eigenvectors[:, -SHORT:]
            self._short_SI = (text_IE @ self._directions_ES).T.contiguous()
            return
        room = self._short_SI.shape[1]
        if items > room:
            more_SN = self._short_SI.new_zeros(len(self._short_SI), items + items // 4 - room)
            self._short_SI = torch.cat([self._short_SI, more_SN], dim=1)
        at = torch.from_numpy(changed_N).to(text_IE.device)
        self._short_SI[:, at] = (text_IE[at] @ self._directions_ES).T

    def nearest(
        self, pooled_BE: Tensor, text_IE: Tensor, count: int, shut_N: Tensor | None = None
    ) -> Tensor:
        """Rows whose texts are nearest to each text, nearly all of them: (B, C) in no order."""
        about_BI = (pooled_BE @ self._directions_ES) @ self._short_SI[:, : len(text_IE)]
        row_BN = tops(about_BI, round(LOOKED_AT * count), shut_N)
        whole_BNE = text_IE.index_select(0, row_BN.flatten()).view(*row_BN.shape, -1)
        like_BN = torch.bmm(whole_BNE, pooled_BE[:, :, None])[:, :, 0]
        return row_BN.gather(1, like_BN.topk(min(count, row_BN.shape[1])).indices)
