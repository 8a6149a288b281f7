"""What an item's reviews agree on: opinions that may be quoted, and what the item is about."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection

from learner.texts.claims import chunks
from learner.texts.facts import Heard
from learner.texts.lexicon import LEXICA, Language

HEARD = 12
"""So many words are told: a prompt is short."""

REVIEW_CHARS = 2_000
"""What of a review is heard: what is said later is rarely said for the first time."""

_WORDS = 2_000
"""Words kept of an item; the rarest are dropped where there are more."""

_USERS = 32
"""Shoppers kept of a word: whether more of them say it changes nothing."""


class Hearing:
    """Hears reviews, one after the other, of all items.

    A word of praise counts when at least `agreement` shoppers say it, and at least twice as many as
    deny it: one shopper, or one bot, puts no word into the shop's mouth. Whatever they agree on,
    only words of the lexicon's closed list of opinions can be quoted.

    Examples
    --------
    >>> hearing = Hearing("en", agreement=2)
    >>> for user, text in (("a", "Sturdy!"), ("b", "very sturdy, not pretty"), ("b", "pretty")):
    ...     hearing.hear("pot", user, text)
    >>> hearing.heard("pot").said
    ('sturdy',)
    """

    def __init__(self, language: Language = "en", agreement: int = 3) -> None:
        self._lexicon = LEXICA[language]
        self._agreement = agreement
        self._say: dict[str, dict[str, set[str]]] = {}
        self._deny: dict[str, dict[str, set[str]]] = {}
        self._reviews: Counter[str] = Counter()
        self._with_word: Counter[str] = Counter()
        self._all = 0
        self._told: dict[str, tuple[int, Heard]] = {}

    def hear(self, item_id: str, user_id: str, text: str) -> None:
        """Take in a review."""
        said: set[str] = set()
        for chunk in chunks(text[:REVIEW_CHARS], self._lexicon):
            words = [claim.text for claim in chunk.claims if claim.kind == "word"]
            heard = self._say if chunk.denied == "no" else self._deny
            of_item = heard.setdefault(item_id, defaultdict(set))
            for word in words:
                if len(of_item[word]) < _USERS:
                    of_item[word].add(user_id)
            said.update(words)
            if len(of_item) > _WORDS:
                heard[item_id] = _loudest(of_item)
        self._with_word.update(said)
        self._reviews[item_id] += 1
        self._all += 1

    def heard(self, item_id: str) -> Heard:
        """What was heard of an item, what says most of it first."""
        count = self._reviews[item_id]
        at, told = self._told.get(item_id, (0, Heard()))
        # A few reviews more among hundreds change nothing, and looking takes time.
        if count > at + at // 64:
            told = self._tell(item_id)
            self._told[item_id] = count, told
        return told

    def forget(self, user_ids: Collection[str]) -> None:
        """Drop what single users said."""
        gone = frozenset(user_ids)
        for heard in (self._say, self._deny):
            for words in heard.values():
                for word in [word for word, users in words.items() if users & gone]:
                    words[word] -= gone
                    if not words[word]:
                        del words[word]
        self._told.clear()

    def _tell(self, item_id: str) -> Heard:
        say, deny = self._say.get(item_id, {}), self._deny.get(item_id, {})
        agreed = {word: len(users) for word, users in say.items() if len(users) >= self._agreement}
        weight = {
            word: count * math.log((1 + self._all) / (1 + self._with_word[word]))
            for word, count in agreed.items()
        }
        order = sorted(weight, key=lambda word: (-weight[word], word))
        said = [
            word
            for word in order
            if word in self._lexicon.opinions and agreed[word] >= 2 * len(deny.get(word, ()))
        ]
        return Heard(tuple(said[:HEARD]), tuple(order[:HEARD]))


def _loudest(words: dict[str, set[str]]) -> dict[str, set[str]]:
    kept = sorted(words, key=lambda word: -len(words[word]))[: _WORDS // 2]
    return defaultdict(set, {word: words[word] for word in kept})
