"""Items by what they mean: the cosine of a query's vector with those that serving holds anyway.

Loading the encoder takes seconds. Until it is there, words alone decide.

Legend: `I` catalogue rows, `E` width of the vectors, `C` found rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.retrieval import ShortTexts
from serving.ranker import Bools, Rows

KEPT = 4_096
"""Queries whose vectors are remembered: few queries make up most of what is asked."""

WHOLE_BELOW = 50_000
"""Catalogues smaller than this are compared whole; of larger ones a short form is, first."""

Vector = NDArray[np.float32]


class Encodes(Protocol):
    """A text encoder."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Texts to vectors of length 1."""


class QueryVectors:
    """Vectors of queries.

    Parameters
    ----------
    encoder
        Gives the encoder, or `None` while there is none.

    Examples
    --------
    >>> class Letters:
    ...     def encode(self, texts):
    ...         return np.array([[len(text), 0] for text in texts], np.float16)
    >>> QueryVectors(Letters).of("tea").tolist()
    [3.0, 0.0]
    """

    def __init__(self, encoder: Callable[[], Encodes | None] = lambda: None) -> None:
        self._encoder = encoder
        self._known: OrderedDict[str, Vector] = OrderedDict()

    def of(self, query: str) -> Vector | None:
        """The vector of a query, shape (E,); `None` while there is no encoder, or nothing in it."""
        known = self._known.get(query)
        if known is None:
            encoder = self._encoder()
            if encoder is None:
                return None
            known = encoder.encode([query])[0].astype(np.float32)
            self._known[query] = known
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(query)
        return known if known.any() else None


class Dense:
    """The nearest items of a catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._short: ShortTexts | None = None
        self._version = 0

    def follow(self) -> None:
        """Take new and changed items in; only a large catalogue has anything to do."""
        catalog = self._catalog
        if len(catalog) < WHOLE_BELOW or self._version == catalog.version:
            return
        if self._short is None:
            self._short = ShortTexts()
        changed = catalog.changed_since(self._version)
        self._short.follow(torch.from_numpy(catalog.vectors), changed)
        self._version = catalog.version

    def nearest(self, query_E: Vector, count: int, open_I: Bools) -> Rows:
        """The rows nearest to a vector among those that are open, in no order."""
        if self._short is not None:
            shut_N = torch.from_numpy(np.flatnonzero(~open_I))
            found = self._short.nearest(
                torch.from_numpy(query_E)[None],
                torch.from_numpy(self._catalog.vectors),
                count,
                shut_N,
            )
            rows: Rows = found[0].numpy().astype(np.int32)
            return rows[open_I[rows]]
        like_I = self._catalog.vectors @ query_E
        like_I[~open_I] = -np.inf
        count = min(count, len(like_I))
        best = np.argpartition(-like_I, count - 1)[:count] if count else np.empty(0, np.int64)
        near: Rows = best[np.isfinite(like_I[best])].astype(np.int32)
        return near

    def cosines(self, query_E: Vector, rows_C: Rows) -> Vector:
        """How near rows are to a vector, shape (C,)."""
        like_C: Vector = self._catalog.vectors[rows_C] @ query_E
        return like_C
