"""Answers that fit a record: what a broker refuses would be tried again for ever.

A list alone fits, whatever the catalogue says. What explains it, what was counted beside it, and
what is quoted under it need not: of an answer that is too large they go first.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stream.events import Recommendation
from stream.tenants import told

MOST_BYTES = 1_000_000
"""Of a value: brokers take 1 MiB with key, headers and the batch's own bytes."""

MOST_TEXT = 20_000
"""Letters of an answer's text that stay in one that is too large."""


def fitted(answer: Recommendation, most: int = MOST_BYTES) -> bytes:
    """An answer, encoded for its shop, without what makes it too large.

    Examples
    --------
    >>> from stream.events import RecommendedItem, Searched
    >>> items = tuple(RecommendedItem(item_id=f"{n}", score=0.0, title="", reason="")
    ...               for n in range(8))
    >>> searched = Searched(query="tea", weights={"words": 1.0})
    >>> answer = Recommendation(recommendation_id="r", request_id="q", user_id="u", ts_ms=0,
    ...                         items=items, path="model", model_version=1, search=searched)
    >>> len(fitted(answer)), len(fitted(answer, 800)), len(fitted(answer, 500))
    (817, 793, 367)
    """
    value = told(answer, answer.user_id)
    steps: list[Callable[[Recommendation], Recommendation]] = [_unexplained, _unquoted]
    while len(value) > most and (steps or answer.items):
        answer = (steps.pop(0) if steps else _shorter)(answer)
        value = told(answer, answer.user_id)
    return value


def _unexplained(answer: Recommendation) -> Recommendation:
    search = answer.search
    if not isinstance(search, msgspec.Struct):
        return answer
    bare = msgspec.structs.replace(search, facets={}, weights={}, described=())
    return msgspec.structs.replace(answer, search=bare)


def _unquoted(answer: Recommendation) -> Recommendation:
    said = answer.answer
    if not isinstance(said, msgspec.Struct):
        return answer
    bare = msgspec.structs.replace(said, text=said.text[:MOST_TEXT], citations=(), table=())
    return msgspec.structs.replace(answer, answer=bare)


def _shorter(answer: Recommendation) -> Recommendation:
    return msgspec.structs.replace(answer, items=answer.items[: len(answer.items) // 2])
