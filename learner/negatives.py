"""Sampled negatives of the transformer's softmax, drawn alike online and in pretraining.

Legend: `C` scored items, `I` items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POPULAR_SHARE = 0.5
"""Half of the negatives are drawn as often as they are taken, half evenly: the first are hard, the
second keep what is never taken down."""

SHARE_FLOOR = 1e-6
"""The popularity of an item without events, where its logarithm is taken."""


def draw_columns(
    target_N: NDArray[np.integer],
    share_I: NDArray[np.float64],
    edges_I: NDArray[np.float64],
    negatives: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The targets and the negatives, each once, rising; and the chance of each to be among them.

    `share_I` is each item's share of the events, `edges_I` its running sum.
    """
    items = len(share_I)
    popular = int(negatives * POPULAR_SHARE)
    drawn = np.searchsorted(edges_I, generator.random(popular) * edges_I[-1])
    even = generator.integers(0, items, negatives - popular)
    columns_C = np.unique(np.concatenate([target_N, drawn.clip(0, items - 1), even]))
    expected_C = share_I[columns_C] * (len(target_N) + popular) + len(even) / items
    return columns_C, -np.expm1(-expected_C)
