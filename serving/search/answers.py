"""Requests with a query, answered: a page of items, what was searched, and what is learnt of it.

The user's features are read as for any other request, so that a search sees the event before it.
Shown lists are remembered until their clicks are told on `outcomes`; then the head learns, each
list once it was clicked.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from features.store import UserFeatures
from learner.search.fusion import FEATURES, Query, Visitor
from serving.ask import Ask
from serving.recommend import Recommender
from serving.search import engine
from serving.search.config import SearchConfig
from serving.search.engine import Engine, Ordered
from serving.search.words import split
from stream.events import FacetValue, Outcome, Recommendation, Searched
from stream.metrics import (
    SEARCH_CLICKS,
    SEARCH_LOST,
    SEARCH_OPEN,
    SEARCH_SECONDS,
    SEARCHES,
)

DIGITS = 3


class _Shown(NamedTuple):
    described: NDArray[np.float16]
    items: tuple[str, ...]
    kind: Query
    visitor: Visitor


class SearchAnswers:
    """The searches of one shop.

    Parameters
    ----------
    made
        Finds items.
    recommender
        The shop's: its model scores what was found, and it tells reasons.
    """

    def __init__(self, made: Engine, recommender: Recommender, config: SearchConfig) -> None:
        self.engine = made
        self._recommender = recommender
        self._config = config
        self._shown: OrderedDict[str, _Shown] = OrderedDict()

    def follow(self, longest_s: float | None = None) -> int:
        """Take changes of the catalogue in, for a moment or so long; says how many items wait."""
        slice_s = self._config.slice_ms / 1000
        return self.engine.follow(slice_s if longest_s is None else longest_s)

    def answers(self, ask: Ask) -> bool:
        """Whether a request is a search: its query has a word in it."""
        return self._config.on and ask.query is not None and bool(ask.suggest or split(ask.query))

    def answer(self, ask: Ask, user: UserFeatures | None) -> Recommendation:
        """Answer a request with a query."""
        started_s = time.perf_counter()
        ask = self._recommender.as_dealt(ask)
        known = user if ask.personal else None
        query = ask.query or ""
        if ask.suggest:
            phrases = self.engine.suggester.complete(query, self._config.suggestions, known)
            completed = Searched(query=query, suggest=True, suggestions=tuple(phrases))
            return self._told(ask, None, completed, user)
        found = self.engine.find(
            engine.Ask(query, ask.k, ask.filters, ask.sort, ask.offset),
            known,
            lambda rows_C: self._recommender.scores_of(ask, known, rows_C),
            self._recommender.index.mask(ask.filters, "product"),
        )
        facets = self._facets(found.query, ask) if ask.facets else {}
        searched = Searched(
            query=found.query,
            corrected_from=found.corrected_from,
            total=found.total,
            facets=facets,
            chances=tuple(
                round(float(chance), DIGITS) for chance in self.engine.head.chances(len(found.rows))
            ),
        )
        if ask.explain:
            searched = replace(searched, **self._explained(found))
        for part, seconds in found.seconds.items():
            SEARCH_SECONDS.labels(part=part).observe(seconds)
        SEARCH_SECONDS.labels(part="all").observe(time.perf_counter() - started_s)
        answer = self._told(ask, found, searched, user)
        self._count(found, answer)
        return answer

    def clicked(self, outcome: Outcome, item_id: str) -> None:
        """Learn from a click on an item that was shown, if it was shown here."""
        if not outcome.taken or outcome.recommendation_id not in self._shown:
            return
        shown = self._shown.pop(outcome.recommendation_id)
        if item_id not in shown.items:
            return
        place = shown.items.index(item_id)
        head = self.engine.head
        lost = head.learn(shown.described.astype(np.float64), [place], shown.kind, shown.visitor)
        SEARCH_CLICKS.inc()
        SEARCH_LOST.set(lost)
        SEARCH_OPEN.labels(query=shown.kind, visitor=shown.visitor).set(
            head.opened(shown.kind, shown.visitor)
        )

    def _told(
        self,
        ask: Ask,
        found: Ordered | None,
        searched: Searched,
        user: UserFeatures | None,
    ) -> Recommendation:
        rows_P = np.empty(0, np.int32) if found is None else found.rows
        scores_P = np.zeros(0, np.float32) if found is None else found.scores.astype(np.float32)
        answer = self._recommender.told(ask, rows_P, scores_P, user)
        return replace(answer, search=searched)

    def _count(self, found: Ordered, answer: Recommendation) -> None:
        SEARCHES.labels(outcome=outcome_of(found)).inc()
        if self._config.lists and found.described.shape[1] and len(found.rows) > 1:
            self._shown[answer.recommendation_id] = _Shown(
                found.described.astype(np.float16),
                tuple(item.item_id for item in answer.items),
                found.kind,
                found.visitor,
            )
            if len(self._shown) > self._config.lists:
                self._shown.popitem(last=False)

    def _facets(self, query: str, ask: Ask) -> dict[str, tuple[FacetValue, ...]]:
        counted = self.engine.facets(query, ask.filters)
        return {
            name: tuple(FacetValue(value=value, count=count) for value, count in values)
            for name, values in counted.items()
        }

    def _explained(self, found: Ordered) -> dict[str, object]:
        weights = self.engine.head.weights(found.kind, found.visitor)
        return {
            "weights": {name: round(weight, DIGITS) for name, weight in weights.items()},
            "described": tuple(
                {
                    name: round(float(value), DIGITS)
                    for name, value in zip(FEATURES, line, strict=True)
                    if value
                }
                for line in found.described
                if len(line)
            ),
        }


def outcome_of(found: Ordered) -> str:
    """What came of a search: items with its words, as written or corrected; near ones; nothing."""
    if not found.total:
        return "near" if len(found.rows) else "nothing"
    return "corrected" if found.corrected_from else "found"
