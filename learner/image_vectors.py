"""Vectors of images, as a shop sends them, brought to the width of the texts.

Whatever made them, whatever their size: a random projection keeps their inner products (Johnson &
Lindenstrauss 1984), and a random direction has nothing to do with any text's, so that they can be
added to text vectors (`learner.ngram_vectors.joined`): two items are alike if their texts are, or
their images.

Legend: `N` items, `P` size of an image vector, `E` width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from learner.ngram_vectors import unit_rows

_SEED = 20_261_128


def image_vectors(images: Sequence[tuple[float, ...] | None], width: int) -> NDArray[np.float32]:
    """Image vectors of any size, or none, as vectors of length 1, shape (N, E), or zero.

    Examples
    --------
    >>> red, scarlet, blue, none = image_vectors([(1, 0, 0), (0.9, 0.1, 0), (0, 0, 1), None], 256)
    >>> bool(red @ scarlet > 0.9 > red @ blue), bool(none.any())
    (True, False)
    """
    out = np.zeros((len(images), width), np.float32)
    for n, image in enumerate(images):
        if image:
            out[n] = np.asarray(image, np.float32) @ _projection(len(image), width)
    return unit_rows(out)


@lru_cache(maxsize=8)
def _projection(size: int, width: int) -> NDArray[np.float32]:
    random = np.random.RandomState(_SEED + size)
    return np.asarray(random.standard_normal((size, width)) / width**0.5, np.float32)
