"""Lets a sentence through only if everything in it is in the facts, or says nothing.

Nothing is understood, and nothing has to be: a sentence may use the facts' own words, in the facts'
own places, and a few words that claim nothing. What is refused in doubt costs one template. Word
overlap as a test of faithfulness is the idea of PARENT (Dhingra et al., ACL 2019) and of table
coverage in Liu et al. (AAAI 2018); there it measures a model, here it decides.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from learner.texts.claims import CLOSE, OPEN, Chunk, Claim, chunks
from learner.texts.facts import Facts, short
from learner.texts.lexicon import LEXICA, Language, Lexicon
from learner.texts.support import Support
from learner.texts.words import tokens

MOST_CHARS = 400
"""A longer sentence isn't one."""

MOST_OFTEN = 3
"""Who says a word oftener in a sentence says nothing."""

_TITLE, _BRAND, _BOUND_BRAND, _CATEGORY, _REASON = "\ue000\ue001\ue002\ue003\ue004"
_BEFORE_CATEGORY = ("in", "from")
_QUOTES = {
    _TITLE: ("title", frozenset({""})),
    _BRAND: ("brand", frozenset({"", "by", "from", "of"})),
    _BOUND_BRAND: ("brand", frozenset({"by", "from"})),
    _CATEGORY: ("category", frozenset(_BEFORE_CATEGORY)),
    _REASON: ("reason", frozenset({""})),
}
_MARKUP = frozenset("<>{}[]|\\^`~=_*@#")

FaultKind = Literal["form", "unknown", "number", "name", "role", "denied", "place"]


class Fault(NamedTuple):
    """Why a sentence isn't let through, and what in it."""

    kind: FaultKind
    what: str


def faults(sentence: str, facts: Facts, language: Language = "en") -> list[Fault]:
    """What a sentence says that the facts don't; nothing for one that is let through.

    Examples
    --------
    >>> facts = Facts(title="Cast Iron Tea Pot 1.2 L", brand="Brown Betty", category=("Tea",),
    ...               sentences=("With a wooden handle, not for induction.",), said=("sturdy",))
    >>> faults("A sturdy tea pot with wooden handle, from Brown Betty.", facts)
    []
    >>> for lie in ("The best tea pot.", "A tea pot of 2 L.", "A wooden tea pot.", "A Bodum pot.",
    ...             "A tea pot for induction.", "A tea pot with steel handle."):
    ...     print(faults(lie, facts)[0])
    Fault(kind='unknown', what='best')
    Fault(kind='number', what='2 l')
    Fault(kind='role', what='wooden')
    Fault(kind='unknown', what='bodum')
    Fault(kind='denied', what='induction')
    Fault(kind='unknown', what='steel')
    """
    return list(_faults(sentence, facts, language))


def passes(sentence: str, facts: Facts, language: Language = "en") -> bool:
    """Whether a sentence is let through."""
    return next(_faults(sentence, facts, language), None) is None


@lru_cache(maxsize=256)
def _support(facts: Facts, language: Language) -> Support:
    return Support(facts, LEXICA[language])


def _faults(sentence: str, facts: Facts, language: Language) -> Iterator[Fault]:
    if bad := _form(sentence):
        yield Fault("form", bad)
        return
    lexicon, support = LEXICA[language], _support(facts, language)
    quoted = _quoted(sentence, facts, lexicon)
    if markup := _MARKUP.intersection(quoted):
        yield Fault("form", " ".join(sorted(markup)))
    said = Counter[str]()
    before: Claim | None = None
    for chunk in chunks(quoted, lexicon, strict=True):
        said.update(claim.text for claim in chunk.claims)
        yield from _chunk_faults(chunk, support)
        if chunk.claims[0].kind == "quote" and before is not None and chunk.about == before.text:
            if before.kind != "quote" and not support.may_precede_a_name(before):
                yield Fault("place", before.text)
        before = chunk.claims[-1]
    if not said.keys() - support.opinions:
        yield Fault("form", "says nothing of the item")
    elif max(said.values()) > MOST_OFTEN:
        yield Fault("form", "says the same again")


def _chunk_faults(chunk: Chunk, support: Support) -> Iterator[Fault]:
    what = " ".join(claim.text for claim in chunk.claims)
    if chunk.denied == "unsure":
        yield Fault("denied", what)
        return
    for claim in chunk.claims:
        if claim.kind == "quote":
            name, roles = _QUOTES[claim.text]
            if chunk.denied != "no" or chunk.role not in roles:
                yield Fault("role", name)
            return
        if not support.word(claim):
            yield Fault("number" if claim.kind == "number" else "unknown", claim.text)
        elif not support.name(claim):
            yield Fault("name", claim.text)
        elif not support.role(claim, chunk):
            yield Fault(
                "denied" if support.only(claim, denied=chunk.denied == "no") else "role", claim.text
            )
    if not support.binds(chunk):
        yield Fault("place", what)


def _form(sentence: str) -> str:
    """What can't be in any sentence, whatever the facts are."""
    if not sentence.strip():
        return "empty"
    if len(sentence) > MOST_CHARS:
        return "too long"
    hidden = next((c for c in sentence if unicodedata.category(c)[0] == "C"), "")
    return hidden and f"U+{ord(hidden):04X}"


def _quoted(sentence: str, facts: Facts, lexicon: Lexicon) -> str:
    """A sentence in which what is quoted whole, letter by letter, stands as one character.

    A brand with words that bind (Silver, Best) is only told from such words after `by`.
    """
    brand = _BOUND_BRAND if _binds(facts.brand, lexicon) else _BRAND
    wholes = [
        (facts.reason[:1].upper() + facts.reason[1:], _REASON),
        (facts.reason, _REASON),
        *((name(facts.title), _TITLE) for name in (str, short)),
        *((name(facts.brand), brand) for name in (str, short)),
        *(
            (f"{role} {short(level)}", f"{role} {_CATEGORY}")
            for level in facts.category
            if level and not _binds(level, lexicon)
            for role in _BEFORE_CATEGORY
        ),
    ]
    for whole, mark in sorted(wholes, key=lambda pair: -len(pair[0])):
        sentence = _replace(sentence, whole, mark) if whole else sentence
    return sentence


def _binds(name: str, lexicon: Lexicon) -> bool:
    closed = (lexicon.bound or frozenset()) | lexicon.negators
    return any(token.text in closed for token in tokens(name, lexicon.numbers))


def _replace(sentence: str, whole: str, mark: str) -> str:
    """Replace a text where it stands as words of its own."""
    at = sentence.find(whole)
    while at >= 0:
        end = at + len(whole)
        alone = not (
            _joins(sentence[at - 1 : at], whole[0]) or _joins(sentence[end : end + 1], whole[-1])
        )
        if alone:
            sentence = f"{sentence[:at]}{mark}{sentence[end:]}"
            end = at + len(mark)
        at = sentence.find(whole, end)
    return sentence


def _joins(letter: str, other: str) -> bool:
    return bool(letter) and (letter.isalnum() or OPEN <= letter <= CLOSE) and other.isalnum()
