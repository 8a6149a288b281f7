"""What is known of an item: its fields, why it is recommended, and what its reviews agree on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from stream.events import Item, ItemVector

DESCRIPTION_CHARS = 2_000
"""What of a description counts: a sentence needs a few facts, and reading takes time."""

QUOTED_CHARS = 120
"""Longer names are cut where they are quoted."""

_PATH = re.compile(r"\s*[>|]\s*")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a sentence may be made of.

    Attributes
    ----------
    title, brand, category, price
        The item's fields.
    sentences
        Its description.
    reason
        Why it is recommended, in the words of `serving.reasons`.
    said
        What enough shoppers call it: words of the lexicon's closed list of opinions.
    heard
        Words that its reviews say much. They help a model, and support no claim.
    """

    title: str = ""
    brand: str = ""
    category: tuple[str, ...] = ()
    price: float | None = None
    sentences: tuple[str, ...] = ()
    reason: str = ""
    said: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()


class Heard(NamedTuple):
    """What reviews say: opinions that support a claim, and words that say what it is about."""

    said: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()


def facts_of(item: Item | ItemVector, reason: str = "", heard: Heard | None = None) -> Facts:
    """The facts of an item; an `ItemVector` has no description.

    >>> facts_of(Item(item_id="1", title="Tea pot", category="Home > Tea", price=39.0)).category
    ('Home', 'Tea')
    """
    levels = (item.category,) if isinstance(item.category, str) else item.category
    description = item.description if isinstance(item, Item) else ""
    heard = heard or Heard()
    return Facts(
        title=plain(item.title),
        brand=plain(item.brand),
        category=tuple(plain(part) for level in levels for part in _PATH.split(level) if part),
        price=item.price,
        sentences=tuple(
            plain(part) for part in _SENTENCE.split(description[:DESCRIPTION_CHARS]) if part.strip()
        ),
        reason=plain(reason),
        said=heard.said,
        heard=heard.heard,
    )


def plain(text: str) -> str:
    r"""A text on one line: what can't be printed is left out.

    >>> plain(" Tea\x00\n pot\u200b ")
    'Tea pot'
    """
    if text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def short(text: str) -> str:
    """A name in one line: a longer one is cut at a word."""
    if len(text) <= QUOTED_CHARS:
        return text
    return text[: QUOTED_CHARS - 1].rsplit(" ", 1)[0] + "…"


def prompt(facts: Facts, sentences: int = 1) -> str:
    """The facts as a model is told them, what says most first: a long prompt is cut at its end.

    >>> prompt(Facts(title="Tea pot", brand="Betty", price=39.0, said=("sturdy",)))
    'title: Tea pot | brand: Betty | price: 39.00 | said: sturdy'
    """
    told: Sequence[tuple[str, str]] = (
        ("title", facts.title),
        ("brand", facts.brand),
        ("category", ", ".join(facts.category[-2:])),
        ("price", "" if facts.price is None else f"{facts.price:.2f}"),
        ("said", " ".join(facts.said)),
        ("why", facts.reason),
        ("about", " ".join(facts.sentences[:sentences])),
        ("heard", " ".join(facts.heard)),
    )
    return " | ".join(f"{name}: {what}" for name, what in told if what)
