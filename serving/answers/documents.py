"""Documents that a shop keeps for its shoppers: policies, questions asked often, manuals.

A document is cut into passages of a few sentences. A passage is found by the words that it shares
with a question, its document's title among them; which of its sentences answers is judged later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from learner.answers.frequencies import Frequencies
from learner.answers.sentences import Span, sentences
from learner.answers.wording import terms
from stream.asked import Document, Source

PASSAGE = 8
"""Sentences of a passage: an answer and what it refers to are rarely further apart."""

MAX_SENTENCE = 600
TITLE_COUNTS = 0.5
"""What a word of the question is worth that only the title has."""


class Passage(NamedTuple):
    """Sentences that follow each other in a field of some source."""

    source: Source
    id: str
    field: str
    text: str
    spans: tuple[Span, ...]
    words: frozenset[str]

    @property
    def start(self) -> int:
        """Where its first sentence begins."""
        return self.spans[0].start

    @property
    def end(self) -> int:
        """Where its last sentence ends."""
        return self.spans[-1].end

    @property
    def sentences(self) -> list[str]:
        """What they say."""
        return [span.of(self.text) for span in self.spans]


def passages(source: Source, id_: str, field: str, text: str) -> Iterator[Passage]:
    """Cut a text into passages.

    >>> [len(one.spans) for one in passages("document", "d", "text", "One thing. " * 12)]
    [8, 4]
    """
    spans = sentences(text, MAX_SENTENCE)
    for start in range(0, len(spans), PASSAGE):
        part = tuple(spans[start : start + PASSAGE])
        words = frozenset(terms(text[part[0].start : part[-1].end]))
        yield Passage(source, id_, field, text, part, words)


@lru_cache(maxsize=4_096)
def cut_up(source: Source, id_: str, field: str, text: str) -> tuple[Passage, ...]:
    """The passages of a text that is asked about again: cutting takes longer than finding."""
    return tuple(passages(source, id_, field, text))


class DocumentBook:
    """All documents of a shop, by id.

    Attributes
    ----------
    frequencies
        How rare words are among their passages.

    Examples
    --------
    >>> book = DocumentBook()
    >>> book.put(Document(document_id="returns", title="Returns",
    ...                   text="Send it back within 30 days. We refund you in 5 days."))
    >>> [one.id for one in book.found("When do I get my refund?", 3)]
    ['returns']
    >>> book.delete("returns")
    >>> book.found("When do I get my refund?", 3)
    []
    """

    def __init__(self) -> None:
        self.frequencies = Frequencies()
        self._documents: dict[str, Document] = {}
        self._passages: dict[str, list[Passage]] = {}
        self._titles: dict[str, frozenset[str]] = {}
        self._with: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self._documents)

    def get(self, document_id: str) -> Document | None:
        """One document."""
        return self._documents.get(document_id)

    def put(self, document: Document) -> None:
        """Add a document, or replace what is known of it."""
        self.delete(document.document_id)
        parts = list(passages("document", document.document_id, "text", document.text))
        title = frozenset(terms(document.title))
        self._documents[document.document_id] = document
        self._passages[document.document_id] = parts
        self._titles[document.document_id] = title
        for part in parts:
            self.frequencies.add_words(part.words | title)
        for word in self._words(document.document_id):
            self._with[word].add(document.document_id)

    def delete(self, document_id: str) -> None:
        """Drop a document."""
        if document_id not in self._documents:
            return
        for word in self._words(document_id):
            self._with[word].discard(document_id)
            if not self._with[word]:
                del self._with[word]
        del self._documents[document_id], self._passages[document_id], self._titles[document_id]

    def found(self, question: str, most: int, share: float = 0.0) -> list[Passage]:
        """The passages that share most with a question, and at least so much; the best first."""
        asked = list(dict.fromkeys(terms(question)))
        weight = {word: self.frequencies.rarity(word) for word in asked}
        known = {document_id for word in asked for document_id in self._with.get(word, ())}
        scored = [
            (self._score(weight, part, self._titles[document_id]), part)
            for document_id in sorted(known)
            for part in self._passages[document_id]
        ]
        least = share * sum(weight.values())
        return best([(score, part) for score, part in scored if score >= least], most)

    def _words(self, document_id: str) -> set[str]:
        words = set(self._titles[document_id])
        return words.union(*(part.words for part in self._passages[document_id]))

    @staticmethod
    def _score(weight: dict[str, float], part: Passage, title: frozenset[str]) -> float:
        score = sum(worth for word, worth in weight.items() if word in part.words)
        only = [worth for word, worth in weight.items() if word in title - part.words]
        return score + TITLE_COUNTS * sum(only)


def best(scored: Sequence[tuple[float, Passage]], most: int) -> list[Passage]:
    """Those with the highest scores above 0, the best first; of equal ones the first."""
    order = sorted(range(len(scored)), key=lambda n: -scored[n][0])[:most]
    return [scored[n][1] for n in order if scored[n][0] > 0]
