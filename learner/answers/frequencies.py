"""How rare words are among the texts that are known: a rare word says more of what is asked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from learner.answers.wording import terms

MOST_WORDS = 200_000
"""Words counted at most; the rarest go where there are more."""


class Frequencies:
    """Counts in how many texts a word is.

    Examples
    --------
    >>> known = Frequencies()
    >>> for text in ("a quiet fan", "a loud fan", "a tea pot"):
    ...     known.add(text)
    >>> known.rarity("quiet") > known.rarity("fan"), known.rarity("zebra") > known.rarity("quiet")
    (True, True)
    """

    def __init__(self) -> None:
        self.texts = 0
        self._in: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count a text's words."""
        self.add_words(terms(text))

    def add_words(self, words: Iterable[str]) -> None:
        """Count the words of one text; each once."""
        self._in.update(set(words))
        self.texts += 1
        if len(self._in) > MOST_WORDS:
            self._in = Counter(dict(self._in.most_common(MOST_WORDS // 2)))

    def rarity(self, word: str) -> float:
        """Inverse document frequency, in nats: 0 for a word of every text, as in BM25.

        Where few texts are known, every word counts as in some twenty more that don't hold it.
        """
        found = self._in.get(word, 0)
        return math.log(1.0 + (self.texts + 20 - found + 0.5) / (found + 0.5))
