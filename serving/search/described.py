"""What each found item has of what the query says and of what its asker likes: one row of numbers.

Legend: `C` found items, `F` features, in the order of `learner.search.fusion.FEATURES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.interest import projection
from features.store import UserFeatures
from learner.search.fusion import FEATURES
from serving.ranker import Rows

Floats = NDArray[np.float32]

MEANING = 3.0
"""What meaning counts to words, before anything is learnt."""

SHARPNESS, MIDDLE = 3.0, 10
"""How much more the best of what was found says about what is meant, and how many say it."""

MOST_SPREAD = 3.0
"""Scores of the model this many deviations from the mean count as far as any."""

PRICE_SPAN = 2.0
"""A price more than so many times `e` away from what one usually pays is as far as any."""

AT = {name: place for place, name in enumerate(FEATURES)}


class Evidence(NamedTuple):
    """What was found of each item, shape (C,): BM25, whether all words, cosine, the model's scores.

    The model's scores are for an asker nobody knows, and for this one; `nan` where it says nothing.
    """

    words: Floats
    whole: NDArray[np.bool_]
    meaning: Floats
    common: Floats
    personal: Floats | None


def described(catalog: Catalog, rows_C: Rows, found: Evidence, user: UserFeatures | None) -> Floats:
    """Describe found items, shape (C, F)."""
    about = np.zeros((len(rows_C), len(FEATURES)), np.float32)
    if not len(rows_C):
        return about
    best = float(found.words.max(initial=0.0))
    about[:, AT["words"]] = found.words / best if best > 0 else 0.0
    about[:, AT["all_words"]] = found.whole
    about[:, AT["meaning"]] = np.maximum(found.meaning, 0.0)
    items = [catalog.item(row) for row in rows_C.tolist()]
    leaves = [item.category[-1] if item.category else "" for item in items]
    first_C = first_order(found)
    about[:, AT["category"]] = category_shares(leaves, first_C)
    if found.meaning.any():
        about[:, AT["alike"]] = alike(catalog.vectors[rows_C], first_C)
    about[:, AT["popular"]] = spread(found.common)
    if user is None or not user.events:
        return about
    if found.personal is not None:
        about[:, AT["personal"]] = spread(found.personal)
    vectors_CW = catalog.vectors[rows_C] @ projection(catalog.width)
    for name, taste in (("short_taste", user.short_vector), ("long_taste", user.long_vector)):
        if taste:
            about[:, AT[name]] = np.maximum(_cosines(vectors_CW, np.array(taste, np.float32)), 0.0)
    brand = user.top_brand.casefold()
    if brand:
        about[:, AT["brand"]] = [item.brand.casefold() == brand for item in items]
    if user.mean_price > 0:
        prices = np.array([item.price or np.nan for item in items], np.float32)
        apart = np.abs(np.log(prices / user.mean_price))
        about[:, AT["price"]] = np.nan_to_num(-np.minimum(apart, PRICE_SPAN), nan=-PRICE_SPAN / 2)
    return about


def best_of(found: Evidence, count: int) -> NDArray[np.int64]:
    """Places of what words and meaning rank highest, in no order."""
    first_C = first_order(found)
    if count >= len(first_C):
        return np.arange(len(first_C))
    return np.argpartition(-first_C, count)[:count]


def first_order(found: Evidence) -> Floats:
    """What words and meaning say together, before anything is learnt."""
    words_C = found.words / max(float(found.words.max(initial=0.0)), 1e-9)
    first_C = words_C + found.whole + MEANING * np.maximum(found.meaning, 0.0)
    return first_C.astype(np.float32)


def alike(vectors_CE: Floats, score_C: Floats) -> Floats:
    """How near each item is to the middle of the best ones: relevance feedback (Rocchio 1971).

    A query of a word or two says little; what it finds first says more of what is meant.
    """
    best = np.argsort(-score_C, kind="stable")[:MIDDLE]
    raised = np.exp(SHARPNESS * (score_C[best] - score_C[best[0]]))
    middle_E = raised @ vectors_CE[best]
    length = float(np.linalg.norm(middle_E))
    likeness: Floats = np.maximum(vectors_CE @ (middle_E / max(length, 1e-9)), 0.0)
    return likeness


def category_shares(leaves: Sequence[str], score_C: Floats) -> Floats:
    """How much of what was found, the best first, is of each item's category: the one meant.

    >>> category_shares(["pots", "pots", "toys", ""], np.array([2, 2, 2, 2], np.float32)).round(2)
    array([0.5 , 0.5 , 0.25, 0.  ], dtype=float32)
    """
    raised = np.exp(SHARPNESS * (score_C - score_C.max()))
    raised /= raised.sum()
    shares: dict[str, float] = {}
    for leaf, weight in zip(leaves, raised.tolist(), strict=True):
        shares[leaf] = shares.get(leaf, 0.0) + weight
    shares[""] = 0.0
    return np.array([shares[leaf] for leaf in leaves], np.float32)


def spread(score_C: Floats) -> Floats:
    """Scores from -1 to 1 by how far they are from their mean; what has none is in the middle.

    >>> spread(np.array([1.0, 2.0, 3.0, np.nan], np.float32)).round(2)
    array([-0.41,  0.  ,  0.41,  0.  ], dtype=float32)
    """
    known = np.isfinite(score_C)
    if not known.any():
        return np.zeros(len(score_C), np.float32)
    deviation = float(score_C[known].std())
    if deviation <= 0:
        return np.zeros(len(score_C), np.float32)
    apart = (score_C - score_C[known].mean()) / deviation / MOST_SPREAD
    inside: Floats = np.nan_to_num(np.clip(apart, -1.0, 1.0)).astype(np.float32)
    return inside


def _cosines(vectors_CD: Floats, taste_D: Floats) -> Floats:
    lengths = np.linalg.norm(vectors_CD, axis=1) * np.linalg.norm(taste_D)
    return np.where(lengths > 0, vectors_CD @ taste_D / np.maximum(lengths, 1e-9), 0.0)
