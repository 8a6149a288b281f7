"""Vectors of texts in any script, without a model: hashed n-grams, summed with signs.

What a pretrained encoder was taught to read it reads better than anything else; of other scripts it
sees single characters, or nothing. Runs of characters and words are the same in all of them, so two
texts that share them are alike here, in Chinese as in English. A sum of random signs keeps the
inner products of the counts that it stands for (count sketch: Charikar, Chen & Farach-Colton,
"Finding frequent items in data streams", 2002; Weinberger et al., "Feature hashing", 2009).

Legend: `N` texts, `M` n-grams of all texts, `E` width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.reviews.ngrams import cleaned, hashed

BITS = 18
LONGEST = 4
"""Characters of a run: a Chinese word has two, a syllable of a European one three or four."""

CHARS = 2_000
"""Of a text; its middle is left out."""

PLACES = 4
"""So many places for each n-gram: with one, two n-grams that meet by chance are one for ever."""

_SPREAD, _MIX = np.uint64(0x9E37_79B9_7F4A_7C15), np.uint64(0xBF58_476D_1CE4_E5B9)


def ngram_vectors(texts: Sequence[str], width: int) -> NDArray[np.float32]:
    """Texts to vectors of length 1, shape (N, E); an empty text is a zero vector.

    Examples
    --------
    >>> pot, kettle, drill = ngram_vectors(["紫砂茶壶", "紫砂茶杯", "充电电钻"], 256)
    >>> bool(pot @ kettle > 0.3 > abs(pot @ drill))
    True
    """
    bags = hashed([cleaned(text, CHARS) for text in texts], BITS, LONGEST)
    out = np.zeros((len(texts), width), np.float32)
    row_M = bags.row_M
    for place in range(PLACES):
        code_M = (bags.at_M.astype(np.uint64) + np.uint64(7_919 * place + 1)) * _SPREAD
        code_M = (code_M ^ (code_M >> np.uint64(31))) * _MIX
        sign_M = np.where((code_M >> np.uint64(20)) & np.uint64(1), 1, -1).astype(np.float32)
        at_M = (code_M >> np.uint64(32)) % np.uint64(width)
        np.add.at(out, (row_M, at_M.astype(np.int64)), bags.weight_M * sign_M)
    return unit_rows(out)


def joined(
    part_NE: NDArray[np.float32], other_NE: NDArray[np.float32], share_N: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Two kinds of vectors as one, of which `share_N` of the likeness comes from the second.

    Vectors of two kinds have nothing to do with each other, so that in as many dimensions as texts
    have their sum's inner products are the weighed sums of their own. Where one is zero, the other
    stands alone.

    >>> east, north = np.eye(2, dtype=np.float32)[:, None]
    >>> [round(float(x), 2) for x in joined(east, north, np.array([0.2], np.float32))[0]]
    [0.89, 0.45]
    """
    share_N1 = share_N[:, None]
    sum_NE = np.sqrt(1.0 - share_N1) * part_NE + np.sqrt(share_N1) * other_NE
    return unit_rows(sum_NE)


def unit_rows(vector_NE: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Lines brought to length 1; one of zeros stays so.

    >>> [[round(float(x), 1) for x in line] for line in unit_rows(np.array([[3.0, 4.0], [0, 0]]))]
    [[0.6, 0.8], [0.0, 0.0]]
    """
    length_N1 = np.linalg.norm(vector_NE, axis=1, keepdims=True)
    return np.asarray(vector_NE / np.maximum(length_N1, 1e-9), np.float32)
