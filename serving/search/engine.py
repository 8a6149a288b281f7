"""From a query to items: found by words and by meaning, described, and put in an order.

1. Words find up to 200 items, meaning up to 100 more; filters hold for both.
2. Where no item has a word and few are found, the query is spelt as the catalogue spells, once.
3. What was found is described: by the query, and by who asks.
4. The learnt head makes an order of it; or prices do, or age.

The index follows the catalogue a slice at a time, so that a large one holds up no request.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.store import UserFeatures
from learner.search.fusion import Query, SearchHead, Visitor, query_kind, visitor_kind
from serving.ranker import Bools, Rows
from serving.search.config import SearchConfig
from serving.search.dense import Dense, QueryVectors
from serving.search.described import Evidence, Floats, best_of, described
from serving.search.lexical import Document, Found, Lexical
from serving.search.spelling import Speller, corrected
from serving.search.suggest import Suggester
from serving.search.words import Word, split
from stream.events import Filters, Sort

SLICE = 64
"""Items taken in between two looks at the clock."""


class Ask(NamedTuple):
    """A search as it is asked for."""

    query: str
    k: int
    filters: Filters = Filters()
    sort: Sort = "relevance"
    offset: int = 0


class Scores(Protocol):
    """What the model makes of found items: for nobody, and for who asks, shape (C,) each."""

    def __call__(self, rows_C: Rows) -> tuple[Floats, Floats | None]:
        """Score rows; `nan` where the model says nothing."""


class Ordered(NamedTuple):
    """A page of what was found, the best first.

    `described` has a line of features for each row, `kind` and `visitor` say which weights counted,
    `seconds` how long each part took.
    """

    rows: Rows
    scores: NDArray[np.float64]
    described: Floats
    kind: Query
    visitor: Visitor
    query: str
    corrected_from: str | None
    total: int
    seconds: Mapping[str, float]


class Engine:
    """Search over one catalogue; not thread-safe.

    Examples
    --------
    >>> from stream.events import ItemVector
    >>> catalog = Catalog(width=2)
    >>> catalog.upsert([ItemVector(item_id="a", title="Red tea pot", vector=b"", encoder="",
    ...                            text_hash="", first_seen_ms=0)])
    >>> engine = Engine(catalog, QueryVectors(), SearchHead(), SearchConfig())
    >>> engine.follow()
    0
    >>> found = engine.find(Ask("red teapot", 10))
    >>> found.rows.tolist(), found.query, found.corrected_from
    ([0], 'red tea pot', 'red teapot')
    """

    def __init__(
        self, catalog: Catalog, vectors: QueryVectors, head: SearchHead, config: SearchConfig
    ) -> None:
        self.catalog = catalog
        self.head = head
        self.vectors = vectors
        self._config = config
        self._lexical = Lexical()
        self._dense = Dense(catalog)
        self.speller = Speller(self._lexical.frequency)
        self.suggester = Suggester(self._lexical)
        self._version = 0
        self._open: Bools = np.zeros(0, np.bool_)
        self._waiting: list[int] = []

    def __len__(self) -> int:
        """How many items can be found."""
        return len(self._lexical)

    def follow(self, budget_s: float = float("inf")) -> int:
        """Take changes of the catalogue in; says how many items still wait to be."""
        self._notice()
        if self._waiting:
            end_s = time.monotonic() + budget_s
            at = 0
            while at < len(self._waiting) and (at == 0 or time.monotonic() < end_s):
                self._take(self._waiting[at : at + SLICE])
                at += SLICE
            self._waiting = self._waiting[at:]
            self._lexical.commit()
        self._dense.follow()
        return len(self._waiting)

    def find(
        self,
        ask: Ask,
        user: UserFeatures | None = None,
        scores: Scores | None = None,
        mask: Bools | None = None,
    ) -> Ordered:
        """A page of items for a query, best first; `mask` are the rows that pass the filters."""
        parts = {"": time.perf_counter()}
        words = split(ask.query)
        wanted = max(self._config.by_words, ask.offset + ask.k)
        found = self._lexical.search(words, wanted, ask.filters)
        query, before = ask.query, None
        if self._little(found, words) and (other := corrected(words, self.speller)):
            again = split(other)
            instead = self._lexical.search(again, wanted, ask.filters)
            if int(instead.whole.sum()) > int(found.whole.sum()):
                words, found, query, before = again, instead, other, ask.query
        parts["words"] = time.perf_counter()
        kind = query_kind(len(words), any(_is_code(word) for word in words))
        visitor = visitor_kind(user.events if user else 0)
        if ask.sort != "relevance":
            found = self._lexical.sorted(words, ask.k, ask.filters, ask.sort, ask.offset)
            about = np.zeros((len(found.rows), 0), np.float32)
            scored = found.scores.astype(np.float64)
            spent = _spent(parts)
            return Ordered(
                found.rows, scored, about, kind, visitor, query, before, found.total, spent
            )
        rows, about = self._describe(found, query, user, mask=mask, scores=scores, parts=parts)
        scored = self.head.score(about, kind, visitor) if len(rows) else np.zeros(0)
        page = np.argsort(-scored, kind="stable")[ask.offset : ask.offset + ask.k]
        return Ordered(
            rows[page],
            scored[page],
            about[page],
            kind,
            visitor,
            query,
            before,
            found.total,
            _spent(parts),
        )

    def facets(self, query: str, filters: Filters) -> dict[str, list[tuple[str, int]]]:
        """How many of the found items have which category and brand, the most frequent first."""
        words = split(query)
        return self._lexical.facets(words, filters, self._config.facet_values) if words else {}

    def _describe(
        self,
        found: Found,
        query: str,
        user: UserFeatures | None,
        *,
        mask: Bools | None,
        scores: Scores | None,
        parts: dict[str, float],
    ) -> tuple[Rows, Floats]:
        rows, count = found.rows, len(found.rows)
        vector = self.vectors.of(query)
        if vector is not None and self._config.by_meaning:
            open_I = self.catalog.available if mask is None else self.catalog.available & mask
            near = self._dense.nearest(vector, self._config.by_meaning, open_I)
            near = near[~np.isin(near, rows)]
            like = self._dense.cosines(vector, near)
            rows = np.concatenate([rows, near[like >= self._config.least_meaning]])
        meaning = (
            np.zeros(len(rows), np.float32) if vector is None else self._dense.cosines(vector, rows)
        )
        parts["meaning"] = time.perf_counter()
        nothing = np.full(len(rows), np.nan, np.float32)
        evidence = Evidence(
            words=np.pad(found.scores, (0, len(rows) - count)),
            whole=np.pad(found.whole, (0, len(rows) - count)),
            meaning=meaning,
            common=nothing,
            personal=None,
        )
        if scores is not None and len(rows):
            best = best_of(evidence, self._config.scored)
            common, personal = scores(rows[best])
            evidence.common[best] = common
            if personal is not None:
                own = np.full(len(rows), np.nan, np.float32)
                own[best] = personal
                evidence = evidence._replace(personal=own)
            parts["model"] = time.perf_counter()
        return rows, described(self.catalog, rows, evidence, user)

    def _little(self, found: Found, words: Sequence[Word]) -> bool:
        """Whether the literal query finds little, and has a word that no item has."""
        return int(found.whole.sum()) < self._config.correct_below and any(
            not self._lexical.frequency(word.term) for word in words
        )

    def _notice(self) -> None:
        """See what changed: rows written since, and rows withdrawn or back."""
        catalog = self.catalog
        if self._version == catalog.version:
            return
        now = catalog.available.copy()
        before = np.zeros(len(now), np.bool_)
        before[: len(self._open)] = self._open
        changed = catalog.changed_since(self._version)
        gone = np.flatnonzero(before & ~now)
        waiting = dict.fromkeys(self._waiting)
        waiting |= dict.fromkeys(np.union1d(changed, gone).tolist())
        self._waiting = list(waiting)
        self._open, self._version = now, catalog.version

    def _take(self, rows: Sequence[int]) -> None:
        catalog = self.catalog
        documents = []
        for row in rows:
            item = catalog.item(row)
            deleted = item.available and not catalog.available[row]  # and not sold out
            if deleted or item.kind != "product":
                self._lexical.remove([row])
            else:
                documents.append(Document.of(row, item))
        self._lexical.put(documents)
        for document in documents:
            self.speller.add(word.written for word in document.text)


def _spent(ends: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each part, of when each ended.

    >>> _spent({"": 1.0, "words": 3.0, "meaning": 3.5})
    {'words': 2.0, 'meaning': 0.5}
    """
    pairs = itertools.pairwise(ends.items())
    return {name: end - begin for (_, begin), (name, end) in pairs}


def _is_code(word: Word) -> bool:
    """Letters and digits in one word, and no number with its unit.

    >>> [_is_code(word) for word in split("i5-2400 16gb laptop 2060")]
    [True, False, False, False]
    """
    return bool(word.parts) and any(letter.isdigit() for letter in word.term)
