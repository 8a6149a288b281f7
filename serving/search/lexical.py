"""Items by their words: an inverted index in memory that follows the catalogue item by item.

Tantivy, and not an index of arrays that is rebuilt (`bm25s`): one changed item costs a commit of
milliseconds, whatever the size of the catalogue; filters, counts and facets come from the same
index. What a user typed never is syntax: queries are built of terms, nothing is parsed.

Scores are BM25 (Robertson & Zaragoza 2009) summed over fields: the title, the whole text, and
the attributes. Items that have all words come first; only where they are few are others looked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import FieldType, Occur, Order, Query

from serving.answers.fields import source_text
from serving.index import category_labels
from serving.ranker import Rows
from serving.search.words import STEM_MARK, Word, fold, split, terms
from stream.events import Filters, ItemVector, Sort

HEAP = 64 << 20
"""Bytes in which new items wait for a commit."""

TITLE, TEXT, ATTRIBUTES = "title", "text", "attributes"

WEIGHTS: Mapping[str, float] = {TITLE: 1.0, TEXT: 1.0, ATTRIBUTES: 0.1}
"""What a word is worth by where it stands."""

STEM, PART = 0.2, 0.4
"""What a stem and all parts of a word together are worth, to the word itself."""

ENOUGH = 20
"""Where fewer items have all the words, those with some of them are found as well."""

FACETS = ("category", "brand")

FACET_VALUES = 10_000
"""Different values of a facet that are counted exactly."""

MAX_QUERY_WORDS = 24

Floats = NDArray[np.float32]

_SORTS: dict[Sort, tuple[str, Order]] = {
    "price": ("price", Order.Asc),
    "price_down": ("price", Order.Desc),
    "newest": ("since", Order.Desc),
}


class Found(NamedTuple):
    """What the words of a query found.

    Attributes
    ----------
    rows, scores
        Rows of the catalogue and their BM25, the best first.
    whole
        Which of them have all the words.
    total
        How many items have all the words; where none has, how many have some.
    """

    rows: Rows
    scores: Floats
    whole: NDArray[np.bool_]
    total: int


class Document(NamedTuple):
    """An item as the index takes it: its row, and the words of its fields."""

    row: int
    item: ItemVector
    title: list[Word]
    text: list[Word]

    @classmethod
    def of(cls, row: int, item: ItemVector) -> Document:
        """Split an item's texts into words."""
        title = split(item.title)
        rest = " ".join((item.brand, *item.category, item.description))
        return cls(row, item, title, [*title, *split(rest)])


class Lexical:
    """The index; not thread-safe.

    Examples
    --------
    >>> def item(name, title, **more):
    ...     return ItemVector(item_id=name, title=title, vector=b"", encoder="", text_hash="",
    ...                       first_seen_ms=0, **more)
    >>> index = Lexical()
    >>> pots, towel = item("a", "Red tea pots"), item("b", "Tea towel")
    >>> index.put([Document.of(0, pots), Document.of(1, towel)])
    >>> index.commit()
    >>> index.search(split("tea pot"), 10).rows.tolist()
    [0, 1]
    >>> index.remove([0])
    >>> index.commit()
    >>> index.search(split("tea pot"), 10).rows.tolist()
    [1]
    """

    def __init__(self) -> None:
        builder = tantivy.SchemaBuilder()
        builder.add_integer_field("row", indexed=True, fast=True)
        for field in WEIGHTS:
            builder.add_text_field(field, tokenizer_name="words", index_option="freq")
        builder.add_text_field("category", tokenizer_name="raw", index_option="basic")
        builder.add_text_field("brand", tokenizer_name="raw", index_option="basic")
        builder.add_text_field("phrase", tokenizer_name="raw", index_option="basic")
        for facet in FACETS:
            builder.add_text_field(
                f"{facet}_facet", tokenizer_name="raw", index_option="basic", fast=True
            )
        builder.add_float_field("price", fast=True)
        builder.add_integer_field("since", fast=True)
        builder.add_integer_field("available", indexed=True)
        self._schema = builder.build()
        self._index = tantivy.Index(self._schema)
        plain = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer("words", plain)
        self._writer = self._index.writer(HEAP, 1)
        self._searcher = self._index.searcher()
        self._changed = False

    def __len__(self) -> int:
        """How many items are found, as of the last commit."""
        return int(self._searcher.num_docs)

    def put(self, documents: Iterable[Document]) -> None:
        """Add items, or replace what was in their rows; counts from the next commit on."""
        for document in documents:
            self._writer.delete_documents_by_term("row", document.row)
            self._writer.add_document(_document(document))
            self._changed = True

    def remove(self, rows: Iterable[int]) -> None:
        """Let items be found no more, from the next commit on."""
        for row in rows:
            self._writer.delete_documents_by_term("row", row)
            self._changed = True

    def commit(self) -> None:
        """Let all of before count."""
        if self._changed:
            self._writer.commit()
            self._index.reload()
            self._searcher = self._index.searcher()
            self._changed = False

    def search(self, words: Sequence[Word], count: int, filters: Filters | None = None) -> Found:
        """The best rows for words, `count` at most; those that have all words before others."""
        words = words[:MAX_QUERY_WORDS]
        if not words:
            return Found(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.bool_), 0)
        limits = self._limits(filters)
        every = self._rank(self._all_of(words), limits, count)
        if every.total >= ENOUGH or len(words) == 1:
            return every
        some = self._rank(self._some_of(words), limits, count)
        new = ~np.isin(some.rows, every.rows)
        return Found(
            np.concatenate([every.rows, some.rows[new]])[:count],
            np.concatenate([every.scores, some.scores[new]])[:count],
            np.concatenate([every.whole, np.zeros(int(new.sum()), np.bool_)])[:count],
            every.total or some.total,
        )

    def sorted(
        self, words: Sequence[Word], count: int, filters: Filters | None, sort: Sort, offset: int
    ) -> Found:
        """Rows with all words (or else some), by price or age; those without a price come last."""
        field, order = _SORTS[sort]
        asked = self._matching(words[:MAX_QUERY_WORDS], filters)
        found = self._searcher.search(
            asked, count, order_by_field=field, order=order, offset=offset
        )
        rows = self._rows([place for _, place in found.hits])
        return Found(
            rows, np.zeros(len(rows), np.float32), np.ones(len(rows), np.bool_), found.count or 0
        )

    def phrases(self, beginning: str, count: int, filters: Filters | None) -> list[tuple[str, int]]:
        """Phrases that begin so, with how many items have each, the most frequent first."""
        limits = None if filters is None else self._limited(Query.all_query(), filters)
        return list(self._searcher.terms_with_prefix("phrase", beginning, limits, count))

    def frequency(self, term: str) -> int:
        """How many items have a term in their text."""
        return int(self._searcher.doc_freq(TEXT, term))

    def facets(
        self, words: Sequence[Word], filters: Filters | None, size: int
    ) -> dict[str, list[tuple[str, int]]]:
        """How many of the items with all words (or else some) have which category and brand."""
        limited = self._matching(words[:MAX_QUERY_WORDS], filters)
        shape = {
            facet: {
                "terms": {"field": f"{facet}_facet", "size": size, "segment_size": FACET_VALUES}
            }
            for facet in FACETS
        }
        counted: dict[str, Any] = self._searcher.aggregate(limited, shape)
        return {
            facet: [(bucket["key"], int(bucket["doc_count"])) for bucket in found["buckets"]]
            for facet, found in counted.items()
        }

    def _matching(self, words: Sequence[Word], filters: Filters | None) -> Query:
        """Items that pass with all words; where there are none, with some."""
        asked = self._limited(self._all_of(words), filters)
        if self._searcher.search(asked, 1).count:
            return asked
        return self._limited(self._some_of(words), filters)

    def _limited(self, asked: Query, filters: Filters | None) -> Query:
        return Query.boolean_query([(Occur.Must, asked), *self._limits(filters)])

    def _rows(self, places: list[tantivy.DocAddress]) -> Rows:
        rows = self._searcher.fast_field_values("row", places) if places else []
        return np.array(rows, np.int32)

    def _rank(self, asked: Query, limits: list[tuple[Occur, Query]], count: int) -> Found:
        if limits:
            asked = Query.boolean_query([(Occur.Must, asked), *limits])
        found = self._searcher.search(asked, count)
        rows = self._rows([place for _, place in found.hits])
        return Found(
            rows,
            np.array([score for score, _ in found.hits], np.float32),
            np.ones(len(rows), np.bool_),
            found.count or 0,
        )

    def _all_of(self, words: Sequence[Word]) -> Query:
        if len(words) == 1:
            return self._one_of(words[0])
        return Query.boolean_query([(Occur.Must, self._one_of(word)) for word in words])

    def _some_of(self, words: Sequence[Word]) -> Query:
        return Query.boolean_query([(Occur.Should, self._one_of(word)) for word in words])

    def _one_of(self, word: Word) -> Query:
        """A word in any field: as it was written, by its stem, or by all of its parts."""
        ways = [
            (Occur.Should, self._term(field, term, weight * share))
            for field, weight in WEIGHTS.items()
            for term, share in ((word.term, 1.0), (STEM_MARK + word.stem, STEM))
        ]
        if word.parts:
            ways.append((Occur.Should, self._parts(word.parts)))
        return Query.boolean_query(ways)

    def _parts(self, parts: tuple[str, ...]) -> Query:
        share = PART / len(parts)
        return Query.boolean_query(
            [
                (
                    Occur.Must,
                    Query.boolean_query(
                        [
                            (Occur.Should, self._term(field, part, weight * share))
                            for field, weight in WEIGHTS.items()
                        ]
                    ),
                )
                for part in parts
            ]
        )

    def _term(self, field: str, term: str, weight: float) -> Query:
        return Query.boost_query(Query.term_query(self._schema, field, term, "freq"), weight)

    def _limits(self, filters: Filters | None) -> list[tuple[Occur, Query]]:
        """What must hold of an item, without a word in its score."""
        limits: list[Query] = []
        if filters is None or filters.available:
            limits.append(Query.term_query(self._schema, "available", 1, "basic"))
        if filters is None:
            filters = Filters()
        for field, value in (("category", filters.category), ("brand", filters.brand)):
            if value is not None:
                limits.append(Query.term_query(self._schema, field, value.casefold(), "basic"))
        if filters.price_min is not None or filters.price_max is not None:
            limits.append(
                Query.range_query(
                    self._schema, "price", FieldType.Float, filters.price_min, filters.price_max
                )
            )
        return [(Occur.Must, Query.const_score_query(limit, 0.0)) for limit in limits]


def _document(words: Document) -> tantivy.Document:
    item = words.item
    document = tantivy.Document()
    document.add_integer("row", words.row)
    document.add_integer("since", item.first_seen_ms)
    document.add_integer("available", int(item.available))
    document.add_text(TITLE, " ".join(terms(words.title)))
    document.add_text(TEXT, " ".join(terms(words.text)))
    document.add_text(ATTRIBUTES, " ".join(terms(split(_attributes(item)))))
    for label in category_labels(item.category):
        document.add_text("category", label)
    if item.category:
        document.add_text("category_facet", " > ".join(item.category))
    if item.brand:
        document.add_text("brand", item.brand.casefold())
        document.add_text("brand_facet", item.brand)
    for phrase in _phrases(words):
        document.add_text("phrase", phrase)
    if item.price is not None:
        document.add_float("price", item.price)
    return document


def _phrases(words: Document) -> set[str]:
    """What a query for the item may be: its brand, its category, words of its title and pairs."""
    written = [word.written for word in words.title]
    pairs = {f"{first} {second}" for first, second in itertools.pairwise(written)}
    named = {fold(name) for name in (words.item.brand, *words.item.category[-1:]) if name}
    return {*written, *pairs, *named}


def _attributes(item: ItemVector) -> str:
    """Names and values; of what an item doesn't have, nothing."""
    return " ".join(
        name if value is True else f"{name} {source_text(value)}"
        for name, value in item.attributes.items()
        if value is not False
    )
