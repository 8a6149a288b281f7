"""Which of a user's past steps carry the score of each item on their list.

Legend: `B` users, `P` items of a list, `T` steps of a history, `C` steps that carry, `N` users
whose evidence is silent.

The model says how much each step speaks for each item; where that is too little, texts do, of what
is recent. The strongest step carries; where it is less than half of all that speaks, so do the
next ones. Of one step among several equals, taking it away would hardly be felt.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.catalog import Catalog
from learner.evidence import TOGETHER_FADE
from serving.ranker import Floats, Rows

MOST_CARRIERS = 3

_SHARE = 0.5
"""Of all that speaks for an item: carriers are named until they have so much of it."""

_SPEAKS = 1e-9
"""Less evidence than this is none, whatever the settings say."""

_HEARD = 16
"""How many of the newest steps speak."""


class Least(NamedTuple):
    """From when on a past step is a reason: the model's evidence, and the cosine of texts."""

    evidence: float = 0.1
    similarity: float = 0.5


def carriers(
    rows_BP: Rows, past_BT: Rows, evidence_BPT: Floats, catalog: Catalog, least: Least
) -> Rows:
    """The steps that carry each item, (B, P, C), the strongest first.

    Counted from the end: -1 is the newest, 0 is none.

    Parameters
    ----------
    rows_BP
        The lists as rows of the catalogue, negative where they are short.
    past_BT
        The histories as rows, the newest in the last column, negative where there is none.
    evidence_BPT
        How much the model says that each step speaks for each item.
    """
    steps = past_BT.shape[1]
    if not rows_BP.size or not steps:
        return np.zeros((*rows_BP.shape, MOST_CARRIERS), np.int32)
    past_BT, steps = past_BT[:, -_HEARD:], min(steps, _HEARD)  # what is older says nothing
    speaks_BPT = np.where((past_BT >= 0)[:, None], evidence_BPT[:, :, -_HEARD:], np.float32(0))
    silent_BP = speaks_BPT.max(axis=2) < max(least.evidence, _SPEAKS)
    speaks_BPT[silent_BP] = 0
    user_N = np.flatnonzero((silent_BP & (rows_BP >= 0)).any(axis=1))
    if len(user_N):
        by_text_NPT = _by_text(rows_BP[user_N], past_BT[user_N], catalog, least.similarity)
        speaks_BPT[user_N] += by_text_NPT * silent_BP[user_N][:, :, None]
    most = min(MOST_CARRIERS, steps)
    order_BPC = np.argsort(-speaks_BPT, axis=2)[:, :, :most]
    said_BPC = np.take_along_axis(speaks_BPT, order_BPC, axis=2)
    before_BPC = said_BPC.cumsum(axis=2) - said_BPC
    all_BP1 = speaks_BPT.sum(axis=2, keepdims=True)
    named_BPC = (said_BPC > 0) & (before_BPC < _SHARE * all_BP1)
    found = np.zeros((*rows_BP.shape, MOST_CARRIERS), np.int32)
    found[:, :, :most] = np.where(named_BPC, order_BPC - steps, 0)
    return found


def _by_text(rows_NP: Rows, past_NT: Rows, catalog: Catalog, least: float) -> Floats:
    """How much recent steps say by the likeness of their texts, nothing below the least."""
    steps, vectors = past_NT.shape[1], catalog.vectors
    age_T = np.arange(steps - 1, -1, -1)
    alike_NPT = vectors[np.maximum(rows_NP, 0)] @ vectors[np.maximum(past_NT, 0)].transpose(0, 2, 1)
    heard_NPT = (alike_NPT >= least) & (past_NT >= 0)[:, None]
    said: Floats = np.where(heard_NPT, alike_NPT * TOGETHER_FADE**age_T, 0.0).astype(np.float32)
    return said
