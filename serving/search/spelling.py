"""Spelling from the catalogue's own words: what the shop sells is how it is written.

A word is corrected only where the literal query finds little, and only to words of the catalogue:
of those within two edits (one, of short words) the likeliest, by edits, frequency and how alike
they look (`symspellpy`: Garbe's symmetric delete; `rapidfuzz`: Jaro-Winkler). Numbers and codes
are never corrected: another model isn't what was meant. A word that two words were run together
into is taken apart, and two that one word was taken apart into are joined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler
from symspellpy import SymSpell, Verbosity

from serving.search.words import Word

LONGEST = 24
"""Longer words are no words; they would only fill the table of deletions."""

SHORT, LONG = 3, 6
"""Words of fewer letters are not corrected; from so many on, two edits are looked at."""

EDIT = 4.0
"""What an edit costs, in nats: a word one edit further must be `e` to this power more frequent."""

PREFIX = 7
"""Letters of which deletions are kept: more costs memory, fewer compares more words."""


ROOM, OFTEN = 60_000, 20
"""Words that are suggested; when so many are there, only those that many items have come in: the
table of deletions takes some 3 kB a word."""


def is_wordlike(written: str) -> bool:
    """Whether a word may be misspelt: letters alone, of an alphabet, and enough of them.

    >>> is_wordlike("headphnes"), is_wordlike("i5-2400"), is_wordlike("tv"), is_wordlike("茶壶")
    (True, False, False, False)
    """
    return len(written) > SHORT and _is_counted(written)


def _is_counted(written: str) -> bool:
    return (
        1 < len(written) <= LONGEST
        and all(letter.isalpha() or letter in "-'" for letter in written)
        and ord(max(written)) < 0x3000  # noqa: PLR2004 - scripts from there on have no alphabet
    )


class Speller:
    """The words of a catalogue as suggestions for those that no item has.

    Parameters
    ----------
    frequency
        How many items have a word: the index knows.

    Examples
    --------
    >>> speller = Speller({"headphones": 9, "laptop": 5, "bag": 3}.get)
    >>> speller.add(["headphones", "laptop", "bag"])
    >>> speller.correct("hedphones"), speller.correct("zzzzz"), speller.correct("lapotp")
    ('headphones', None, 'laptop')
    >>> speller.correct("laptopbag")
    'laptop bag'
    """

    def __init__(self, frequency: Callable[[str], int | None]) -> None:
        self._frequency = frequency
        self._spell = SymSpell(max_dictionary_edit_distance=2, prefix_length=PREFIX)

    def __len__(self) -> int:
        """How many words may be suggested."""
        return int(self._spell.word_count)

    def add(self, words: Iterable[str]) -> None:
        """Take the words of an item in."""
        known = self._spell.words
        for word in words:
            if word in known or not _is_counted(word):
                continue
            if len(known) < ROOM or self.frequency(word) == OFTEN:
                self._spell.create_dictionary_entry(word, 1)

    def frequency(self, word: str) -> int:
        """How many items have the word."""
        return self._frequency(word) or 0

    def correct(self, written: str) -> str | None:
        """The likeliest spelling of a word that no item has; `None` if none is near.

        Two words where one was run together of two.
        """
        if not is_wordlike(written):
            return None
        edits = 2 if len(written) >= LONG else 1
        near = self._spell.lookup(written, Verbosity.ALL, max_edit_distance=edits)
        best, best_worth = None, -math.inf
        for one in near:
            count = self.frequency(one.term)
            if not count or one.term == written:
                continue
            worth = (
                math.log(count)
                - EDIT * DamerauLevenshtein.distance(written, one.term)
                + EDIT * JaroWinkler.similarity(written, one.term)
            )
            if worth > best_worth:
                best, best_worth = one.term, worth
        return best if best is not None else self._apart(written)

    def _apart(self, written: str) -> str | None:
        """Two words of the catalogue that together are the one; not a letter and the rest."""
        best, best_worth = None, (0, 0)
        for cut in range(2, len(written) - 1):
            left, right = written[:cut], written[cut:]
            count = min(self.frequency(left), self.frequency(right))
            if count and (min(len(left), len(right)), count) > best_worth:
                best, best_worth = f"{left} {right}", (min(len(left), len(right)), count)
        return best


def corrected(words: Sequence[Word], speller: Speller) -> str | None:
    """The query with what no item has spelt as the catalogue does; `None` if nothing is to change.

    >>> from serving.search.words import split
    >>> words = ["wireless", "mouse", "backpack"]
    >>> speller = Speller(dict.fromkeys(words, 1).get)
    >>> speller.add(words)
    >>> corrected(split("wirless mouse"), speller), corrected(split("back pack"), speller)
    ('wireless mouse', 'backpack')
    >>> corrected(split("wireless mouse"), speller)
    """
    written = [word.written for word in words]
    said: list[str] = []
    at = 0
    while at < len(written):
        word = written[at]
        joined = word + written[at + 1] if at + 1 < len(written) else ""
        strange = not speller.frequency(word)
        if (
            joined
            and speller.frequency(joined)
            and (strange or not speller.frequency(written[at + 1]))
        ):
            said.append(joined)
            at += 2
            continue
        said.append((speller.correct(word) if strange else None) or word)
        at += 1
    return " ".join(said) if said != written else None
