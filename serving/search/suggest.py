"""Completions while a shopper types: what the catalogue has most of, first what they look for.

Brands, categories, words of titles and two neighbours of them, each as frequent as items have it.
A query of other shoppers is never suggested: what somebody asked may be private.
"""

from __future__ import annotations

from features.store import UserFeatures
from serving.search.lexical import Lexical
from serving.search.words import fold
from stream.events import Filters

LOOKED_AT = 5
"""So many times as many completions are looked at as are told."""

OWN = 3.0
"""A completion that the shopper's own category has counts so many times as much there."""


class Suggester:
    """Completions from an index."""

    def __init__(self, lexical: Lexical) -> None:
        self._lexical = lexical

    def complete(self, beginning: str, count: int, user: UserFeatures | None) -> list[str]:
        """The likeliest ways in which a query goes on, the likeliest first."""
        start = fold(beginning).lstrip()
        if not start.strip():
            return []
        worth = dict(self._lexical.phrases(start, LOOKED_AT * count, None))
        if user is not None and user.top_category:
            own = Filters(category=user.top_category)
            for phrase, items in self._lexical.phrases(start, LOOKED_AT * count, own):
                worth[phrase] = worth.get(phrase, 0) + round(OWN * items)
        ordered = sorted(worth, key=lambda phrase: (-worth[phrase], phrase))
        return [phrase for phrase in ordered if phrase != start.rstrip()][:count]
