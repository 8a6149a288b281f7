"""What a text claims: chunks of words that belong together, each with the role it is said in.

`Iron pot with red lid, not for gas` is (iron pot), *with* (red lid), and denied *for* (gas). No
grammar is known beyond closed lists, so that what is unsure is told from what is sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from learner.texts.lexicon import Lexicon
from learner.texts.words import Token, tokens

Denied = Literal["no", "yes", "unsure"]

OPEN, CLOSE = "\ue000", "\uf8ff"
"""Characters for private use stand for names that are quoted whole."""

_ENDS = frozenset(".!?:;。！？：；…")
_NEGATED_BY_NEXT = {"free": frozenset({"of", "from"})}
"""Words that deny what follows only before some others: `free of lead`."""


class Claim(NamedTuple):
    """A word, a number with its unit, or a symbol.

    Attributes
    ----------
    text
        As it is compared; glued by `+` with a word that changes it: `faux+leather`.
    kind
        What it is.
    name
        Whether it is written like a name: with a capital where no sentence begins.
    """

    text: str
    kind: Literal["word", "number", "symbol", "quote"]
    name: bool = False


class Chunk(NamedTuple):
    """Words in a row.

    Attributes
    ----------
    role
        The preposition before them, or "".
    claims
        The words.
    denied
        Whether a negation is before them; unsure is what follows the comma after one.
    about
        The last word of the chunk before, in the same clause; or "".
    """

    role: str
    claims: tuple[Claim, ...]
    denied: Denied
    about: str


class _Parts:
    """Chunks as they are being gathered."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.current: list[Claim] = []
        self.role, self.about, self.prefix = "", "", ""
        self.denied: Denied = "no"
        self._denied_from = 0

    def add(self, claim: Claim) -> None:
        if self.prefix:
            claim = claim._replace(text=f"{self.prefix}+{claim.text}")
            self.prefix = ""
        self.current.append(claim)

    def close(self, role: str | None = None) -> None:
        """End the chunk; what comes next has this role, or the same."""
        if self.prefix:
            prefix, self.prefix = self.prefix, ""
            self.current.append(Claim(prefix, "word"))
        if self.current:
            self.chunks.append(Chunk(self.role, tuple(self.current), self.denied, self.about))
            self.about, self.current = self.current[-1].text, []
        if role is not None:
            self.role = role

    def deny(self) -> None:
        """Deny what follows. Who denies twice may mean anything."""
        self.close()
        self.denied = "yes" if self.denied == "no" else "unsure"
        self._denied_from = len(self.chunks)

    def mark(self, mark: str) -> None:
        """End the clause, or the sentence."""
        self.close(role="")
        if self.denied == "yes" and self._denied_from == len(self.chunks):
            # What is denied isn't said: `I can't.`
            self.chunks.append(Chunk("", (Claim("not", "word"),), "unsure", self.about))
        self.about = ""
        if mark in _ENDS:
            self.denied = "no"
        elif self.denied == "yes":
            self.denied = "unsure"


def chunks(text: str, lexicon: Lexicon, *, strict: bool = False) -> list[Chunk]:
    """Cut a text into chunks.

    Parameters
    ----------
    strict
        A neutral word with a capital inside of a sentence is a name, and so a claim. Titles are
        read otherwise: they write every word so.

    Examples
    --------
    >>> from learner.texts.lexicon import ENGLISH
    >>> for chunk in chunks("Faux leather bag with 2 straps, not for the rain", ENGLISH):
    ...     print(chunk.role, [claim.text for claim in chunk.claims], chunk.denied)
     ['faux+leather', 'bag'] no
    with ['2', 'strap'] no
    for ['rain'] yes
    """
    parts = _Parts()
    found = tokens(text, lexicon.numbers)
    for at, token in enumerate(found):
        if token.kind == "mark":
            parts.mark(token.text)
        elif OPEN <= token.text <= CLOSE:
            parts.close()
            parts.add(Claim(token.text, "quote"))
            parts.close(role="")
        elif token.kind != "word":
            parts.add(Claim(token.text, token.kind))
        else:
            _word(parts, token, found[at + 1 :], lexicon, strict)
    parts.mark(".")
    return parts.chunks


def _word(
    parts: _Parts, token: Token, rest: Sequence[Token], lexicon: Lexicon, strict: bool
) -> None:
    word = token.text
    name = token.capital and not token.start
    if _denies(word, rest, lexicon) and not (strict and name):
        parts.deny()
    elif word in lexicon.after and parts.current and not parts.prefix:
        last = parts.current[-1]
        parts.current[-1] = last._replace(text=f"{last.text}+{word}")
    elif (strict and name) or not _is_function(word, lexicon):
        if word in lexicon.before:
            parts.prefix = f"{parts.prefix}+{word}" if parts.prefix else word
        else:
            parts.add(Claim(word, "word", name if strict else token.capital))
    elif word in lexicon.roles:
        parts.close(role=lexicon.roles[word])
    else:
        parts.close(role=None if word in lexicon.passing else "")


def _denies(word: str, rest: Sequence[Token], lexicon: Lexicon) -> bool:
    followers = _NEGATED_BY_NEXT.get(word, frozenset())
    return word in lexicon.negators or bool(rest and rest[0].text in followers)


def _is_function(word: str, lexicon: Lexicon) -> bool:
    return word in lexicon.passing or word in lexicon.neutral or word in lexicon.roles
