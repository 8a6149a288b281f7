"""The simulated shop as the learner is given it: a catalogue and examples, made in seconds.

Texts become sums of a drawn vector per word, so that like texts are alike: what the text encoder
takes is not the learner's time.

Legend: `N` texts, `D` width.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.catalogue import catalogue_of
from learner.evaluation_log import examples_of
from stream.events import Example
from stream.shop import Shop, ShopConfig

WIDTH = 384


class Words:
    """Encodes a text as the sum of its words' drawn vectors, of length 1.

    >>> pot, kettle, drill = Words(64).encode(["red tea pot", "blue tea pot", "cordless drill"])
    >>> bool(pot @ kettle > pot @ drill)
    True
    """

    name = "drawn words"

    def __init__(self, width: int = WIDTH) -> None:
        self.width = width

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Encode texts, shape (N, D); an empty one is zero."""
        out = np.zeros((len(texts), self.width))
        for n, text in enumerate(texts):
            for word in text.lower().split():
                generator = np.random.default_rng(zlib.crc32(word.encode()))
                out[n] += generator.standard_normal(self.width)
        length_N1 = np.linalg.norm(out, axis=1, keepdims=True)
        return np.asarray(out / np.maximum(length_N1, 1e-9), np.float16)


def shop_examples(
    events: int, *, seed: int = 1, items: int | None = None, width: int = WIDTH, steps: int = 50
) -> tuple[Catalog, list[Example]]:
    """The first events of a shop as examples in one partition, and all that it sells."""
    config = ShopConfig() if items is None else ShopConfig(items=items)
    shop = Shop(seed, config)
    log = shop.clean_events(events)
    sold = [msgspec.structs.replace(item, available=True) for item in shop.items()]
    return catalogue_of(sold, Words(width), width), list(examples_of(log, steps))
