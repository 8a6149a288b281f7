"""Labels that a title doesn't state: clusters of items that the same users take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLUSTERS = 100


def clusters(user_N: NDArray[np.int64], row_N: NDArray[np.int64], items: int) -> NDArray[np.int64]:
    """A label for each item that is taken often enough: who takes it takes what is like it."""
    pairs = np.unique(np.stack([user_N, row_N]), axis=1)
    by_UI = np.zeros((int(user_N.max()) + 1, items), np.float32)
    by_UI[pairs[0], pairs[1]] = 1.0
    kept_I = np.flatnonzero(by_UI.sum(axis=0) >= 3)  # noqa: PLR2004 - fewer say nothing
    together = by_UI[:, kept_I].T @ by_UI[:, kept_I]
    np.fill_diagonal(together, 0.0)
    total_K = together.sum(axis=1) + 1.0
    ppmi = np.log(np.maximum(together * total_K.sum() / np.outer(total_K, total_K), 1.0))
    value, vector = np.linalg.eigh(ppmi.astype(np.float64))
    point = vector[:, -64:] * np.sqrt(np.maximum(value[-64:], 0.0))
    point /= np.maximum(np.linalg.norm(point, axis=1, keepdims=True), 1e-9)
    generator = np.random.default_rng(0)
    centre = point[generator.choice(len(point), min(CLUSTERS, len(point)), replace=False)]
    for _ in range(25):
        at = (point @ centre.T).argmax(axis=1)
        for c in np.unique(at):
            mean = point[at == c].mean(axis=0)
            centre[c] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    label_I = np.full(items, -1, np.int64)
    label_I[kept_I] = (point @ centre.T).argmax(axis=1)
    return label_I
