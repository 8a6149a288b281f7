"""What is said where no model speaks, or none that is let through: fields, quoted, and a reason.

English has words around them. In other languages the parts stand side by side, and the reason,
which is in English, is left to its own field.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from learner.texts.facts import Facts, short
from learner.texts.lexicon import Language

ReasonKind = Literal["before", "because", "new", "interest", "popular", "none"]

OPINIONS = 2
"""Of what shoppers say, so many words are quoted."""


def kind_of(reason: str) -> ReasonKind:
    """Which of `serving.reasons` it is, by its words.

    >>> [kind_of(r) for r in ("you bought this before", "because you viewed Hat", "new in Tea",
    ...  "matches your recent interest in Tea", "popular now", "")]
    ['before', 'because', 'new', 'interest', 'popular', 'none']
    """
    if reason.startswith("you ") and reason.endswith(" before"):
        return "before"
    if reason.startswith("because you "):
        return "because"
    if reason == "new" or reason.startswith("new in "):
        return "new"
    if reason.startswith("matches your recent interest in "):
        return "interest"
    return "popular" if reason == "popular now" else "none"


def template(facts: Facts, language: Language = "en") -> str:
    """One sentence of quoted facts; empty where nothing is known.

    Takes a few microseconds.

    Examples
    --------
    >>> facts = Facts(title="Tea Pot", brand="Betty", category=("Kitchen", "Tea"), price=39.0,
    ...               reason="because you bought Red hat", said=("sturdy",))
    >>> template(facts)
    'Because you bought Red hat: Tea Pot by Betty, in Tea, for 39.00. Shoppers call it sturdy.'
    >>> template(facts, "de")
    'Tea Pot · Betty · Tea · 39.00'
    """
    title = short(facts.title)
    leaf = short(facts.category[-1]) if facts.category else ""
    brand = "" if _within(facts.brand, facts.title) else short(facts.brand)
    price = "" if facts.price is None else f"{facts.price:.2f}"
    if language != "en":
        return " · ".join(
            part for part in (title or brand, brand * bool(title), leaf, price) if part
        )
    kind = kind_of(facts.reason)
    named = kind in {"new", "interest"} and facts.reason.endswith(leaf)
    if named or leaf.casefold() in {title.casefold(), brand.casefold()}:
        leaf = ""
    what = title or brand
    if title and brand:
        what += f" by {brand}"
    parts = [what, f"in {leaf}" * bool(leaf), f"for {price}" * bool(price)]
    said = ", ".join(part for part in parts if part)
    if kind != "none" and said:
        said = f"{facts.reason[0].upper()}{facts.reason[1:]}: {said}"
    elif not what:
        said = said[:1].upper() + said[1:]
    if not said:
        return ""
    end = "" if said[-1] in ".!?…" else "."
    return f"{said}{end}{_opinions(facts)}"


def draft(facts: Facts, language: Language = "en", sentences: int = 3) -> str:
    """A description of quoted facts: the fields, then what the shop says already.

    >>> draft(Facts(title="Tea Pot", price=39.0, reason="new", sentences=("Pours well.",)))
    'Tea Pot, for 39.00. Pours well.'
    """
    first = template(msgspec.structs.replace(facts, reason=""), language)
    return " ".join(part for part in (first, *facts.sentences[: sentences - 1]) if part)


def _opinions(facts: Facts) -> str:
    said = facts.said[:OPINIONS]
    return f" Shoppers call it {' and '.join(said)}." if said else ""


def _within(brand: str, title: str) -> bool:
    return not brand or brand.casefold() in title.casefold()
