"""What a shopper looks for, heard from one sentence after the other.

What is said later counts: another category starts anew, another price replaces the price. Names of
categories and brands are those of the catalogue; what is left over is searched for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from learner.answers.wording import STOP, all_terms, folded, terms
from stream.asked import Wishes
from stream.events import Filters

MOST_WORDS = 12
"""Words of a search that are remembered; the newest count."""

MOST_BARRED = 16
"""Brands that are not wanted, alike: a conversation has no end, its record has."""

AROUND = 0.2
"""`about 50` is from 40 to 60."""

CHEAPER = 0.8
"""`cheaper` is below this share of the old limit."""

_NUMBER = (
    r"(?:[$€£¥]\s*)?(\d{1,3}(?:[,.]\d{3})+|\d+(?:[.,]\d{1,2})?)\s*"
    r"(?:[$€£¥]|dollars?|euros?|eur|usd|pounds?|bucks|元|块)?"
)
_BETWEEN = re.compile(
    rf"\b(?:between|from)\s+{_NUMBER}\s*(?:and|to|-|–)\s*{_NUMBER}|{_NUMBER}\s*(?:到|至|-|–)\s*{_NUMBER}",
    re.IGNORECASE,
)
_BELOW = re.compile(
    rf"(?:\b(?:under|below|less than|cheaper than|up to|at most|max(?:imum)?|no more than|not more "
    rf"than|within)\b|不超过|低于|少于|<)\s*(?:of\s+)?{_NUMBER}|"
    rf"{_NUMBER}\s*(?:以下|以内|之内|or less|max)",
    re.IGNORECASE,
)
_ABOVE = re.compile(
    rf"(?:\b(?:over|above|more than|at least|min(?:imum)?|starting at)\b|超过|高于|>)\s*{_NUMBER}|"
    rf"{_NUMBER}\s*(?:以上|or more)",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    rf"(?:\b(?:about|around|roughly|approx\w*)\b|大约|大概)\s*{_NUMBER}|{_NUMBER}\s*左右",
    re.IGNORECASE,
)
_CHEAPER = re.compile(r"\bcheaper\b|\bless expensive\b|便宜(点|一点|些)|更便宜", re.IGNORECASE)
_USE = re.compile(
    r"\bfor (?!under|below|less|about|around|up|at|sale|me\b|\d)((?:(?:my|a|an|the|our) )?"
    r"[a-z][\w'’ -]{1,40}?)(?=$|[,.?!;]|\s(?:under|below|between|with|that|which|by|from|up|less|"
    r"around|about|and|over|above|please|at)\b)",
    re.IGNORECASE,
)
_USE_HAN = re.compile(r"(?:适合|用于|用来)([^的，。,.?？]{1,12})(?:的|用)?")
_NOT = re.compile(
    r"(?:\b(?:not|no|without|except|anything but|other than)\s+(?:by |from )?|不要|除了)$"
)
_NOISE = frozenset(
    terms(
        "find show recommend suggest give get looking look search need want would like buy "
        "something anything please thanks cheaper expensive under below over above between about "
        "around less more than most least max maximum minimum price priced budget dollar dollars "
        "euro euros eur usd pound pounds cheap best good nice help choose pick made make brand one "
        "ones instead other another rather only also but by from with within up do you have any "
        "some me us hi hello sell"
    )
) - STOP  # fmt: skip


class Vocabulary:
    """Names of a catalogue's categories and brands, to be found in what people say.

    Parameters
    ----------
    names
        As the catalogue writes them.

    Examples
    --------
    >>> Vocabulary(["Tea pots", "Pots", "Tea"]).longest("a red tea pot, please")
    'Tea pots'
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._of: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        self._known: set[str] = set()
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Know a name as well."""
        if name in self._known:
            return
        self._known.add(name)
        words = tuple(all_terms(name))
        if words and not all(word in STOP for word in words):
            self._of.setdefault(words[0], []).append((words, name))

    def all_in(self, text: str) -> list[tuple[str, tuple[str, ...]]]:
        """The names in a text with their words, those with most words first."""
        words = all_terms(text)
        found = [
            (name, of)
            for at, word in enumerate(words)
            for of, name in self._of.get(word, ())
            if tuple(words[at : at + len(of)]) == of
        ]
        return sorted(found, key=lambda pair: -len(pair[1]))

    def longest(self, text: str) -> str:
        """The name with most words; empty where there is none."""
        found = self.all_in(text)
        return found[0][0] if found else ""


class Offered(NamedTuple):
    """What the catalogue offers, as wishes can name it."""

    categories: Vocabulary
    brands: Vocabulary


def heard(
    text: str, before: Wishes, offered: Offered, shown_prices: Sequence[float] = ()
) -> Wishes:
    """What a shopper wishes after a sentence.

    Parameters
    ----------
    shown_prices
        Of the items that they were shown last: `cheaper` is cheaper than those.

    Examples
    --------
    >>> offered = Offered(Vocabulary(["Tea pots"]), Vocabulary(["Bodum"]))
    >>> wishes = heard("Find me a red tea pot by Bodum under 40 for my office", Wishes(), offered)
    >>> wishes.category, wishes.brand, wishes.price_max, wishes.use, wishes.words
    ('Tea pots', 'Bodum', 40.0, 'my office', ('red',))
    >>> heard("cheaper, and blue", wishes, offered).price_max
    32.0
    """
    categories, brands = offered.categories.all_in(text), offered.brands.all_in(text)
    after = before
    left = text
    if categories:
        name, of = categories[0]
        if name != before.category:
            after = Wishes(price_min=before.price_min, price_max=before.price_max)
        after = msgspec.structs.replace(after, category=name)
        left = _cut_out(left, of)
    for name, of in brands:
        at = folded(left).find(folded(name))
        denied = at >= 0 and _NOT.search(folded(left[:at])) is not None
        if denied:
            barred = tuple(dict.fromkeys((*after.not_brands, name)))[-MOST_BARRED:]
            brand = "" if after.brand == name else after.brand
            after = msgspec.structs.replace(after, not_brands=barred, brand=brand)
        elif name not in (categories[0][0] if categories else ""):
            after = msgspec.structs.replace(
                after, brand=name, not_brands=tuple(b for b in after.not_brands if b != name)
            )
        left = _cut_out(left, of)
    after, left = _priced(left, after, shown_prices)
    if use := _USE.search(left) or _USE_HAN.search(left):
        after = msgspec.structs.replace(after, use=use[1].strip())
        left = left.replace(use[0], " ")
    said = [w for w in re.findall(r"[^\W_]+", left) if _tells(w)]
    words = tuple(dict.fromkeys((*after.words, *said)))[-MOST_WORDS:]
    return msgspec.structs.replace(after, words=words)


def filters_of(wishes: Wishes) -> Filters:
    """The wishes that filter a list."""
    return Filters(
        category=wishes.category or None,
        brand=wishes.brand or None,
        price_min=wishes.price_min,
        price_max=wishes.price_max,
    )


def query_of(wishes: Wishes) -> str:
    """The wishes that are searched for."""
    use = [word for word in re.findall(r"[^\W_]+", wishes.use) if _tells(word)]
    return " ".join((*wishes.words, *use))


def _priced(text: str, wishes: Wishes, shown: Sequence[float]) -> tuple[Wishes, str]:
    low, high = wishes.price_min, wishes.price_max
    if found := _BETWEEN.search(text):
        numbers = [_number(part) for part in found.groups() if part]
        low, high = min(numbers), max(numbers)
    elif found := _BELOW.search(text):
        low, high = None, _number(found[1] or found[2])
    elif found := _ABOVE.search(text):
        low, high = _number(found[1] or found[2]), None
    elif found := _ABOUT.search(text):
        about = _number(found[1] or found[2])
        low, high = about * (1 - AROUND), about * (1 + AROUND)
    elif found := _CHEAPER.search(text):
        limit = high if high is not None else max(shown, default=None)
        low, high = None, None if limit is None else round(limit * CHEAPER, 2)
    else:
        return wishes, text
    after = msgspec.structs.replace(wishes, price_min=low, price_max=high)
    return after, text.replace(found[0], " ")


def _number(text: str) -> float:
    """A price as people write it.

    >>> _number("1,200"), _number("19.99"), _number("19,99")
    (1200.0, 19.99, 19.99)
    """
    if re.fullmatch(r"\d{1,3}([,.]\d{3})+", text):
        return float(re.sub("[,.]", "", text))
    return float(text.replace(",", "."))


_HAN_NOISE = re.compile(
    r"帮我|我想|想要|想买|推荐|找|一个|一款|一件|请|给我|买|有没有|的|吗|我|个|款|价格|便宜点|便宜"
)


def _tells(word: str) -> bool:
    if not word.isascii():
        return bool(_HAN_NOISE.sub("", word))
    return all(stem not in _NOISE and stem not in STOP for stem in all_terms(word)) and (
        len(word) > 1
    )


def _cut_out(text: str, words: tuple[str, ...]) -> str:
    """A text without the first place where some words follow each other."""
    tokens = list(re.finditer(r"[^\W_]+(?:['’][^\W_]+)*", text))
    for at in range(len(tokens)):
        end, got = at, list[str]()
        while end < len(tokens) and len(got) < len(words):
            got += all_terms(tokens[end][0])
            end += 1
        if tuple(got) == words:
            return f"{text[: tokens[at].start()]} {text[tokens[end - 1].end() :]}"
    return text
