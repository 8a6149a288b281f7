"""Items by what they mean: the cosine of a query's vector with those that serving holds anyway.

Loading the encoder takes seconds: a thread does it, from the first query on or before. Until it is
there, words alone decide, as they do where no encoder is named.

Legend: `I` catalogue rows, `E` width of the vectors, `C` found rows.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.retrieval import ShortTexts
from serving.ranker import Bools, Rows

_log = logging.getLogger(__name__)

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
    """Vectors of queries, from an encoder that is loaded when it is first needed.

    Examples
    --------
    >>> class Letters:
    ...     def encode(self, texts):
    ...         return np.array([[len(text), 0] for text in texts], np.float16)
    >>> vectors = QueryVectors(Letters)
    >>> vectors.load()
    >>> vectors.of("tea").tolist()
    [3.0, 0.0]
    """

    def __init__(self, make: Callable[[], Encodes] | None) -> None:
        self._make = make
        self._encoder: Encodes | None = None
        self._thread: threading.Thread | None = None
        self._known: OrderedDict[str, Vector] = OrderedDict()

    def load(self) -> None:
        """Load the encoder now; a later query needn't wait."""
        if self._make is None:
            return
        try:
            self._encoder = self._make()
        except Exception as error:  # noqa: BLE001 - search goes on by words
            _log.warning("the encoder can't be loaded, search goes by words alone: %s", error)
            self._make = None

    def load_soon(self) -> None:
        """Load the encoder in a thread, unless it is loaded or being loaded."""
        if self._thread is None and self._make is not None and self._encoder is None:
            self._thread = threading.Thread(target=self.load, name="query-encoder", daemon=True)
            self._thread.start()

    def of(self, query: str) -> Vector | None:
        """The vector of a query, shape (E,); `None` while there is no encoder, or nothing in it."""
        if self._encoder is None:
            self.load_soon()
            return None
        known = self._known.get(query)
        if known is None:
            known = self._encoder.encode([query])[0].astype(np.float32)
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
