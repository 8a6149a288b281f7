"""Texts as the words that search compares: one way for items and for queries.

Case, accents and forms of writing are folded (Unicode NFKC). A number and its unit are one word,
however they are written (`16 GB`, `16gb`); a model code is one word and its parts (`LP-E6N`:
`lpe6n`, `lp`, `e6n`). Chinese, Japanese and Korean are written without spaces, or with spaces that
depend on grammar: each two neighbouring characters are a word (Nie, Gao, Zhang & Zhou 2000). Beside
a word stands its stem, without an English plural (the weak stemmer of Harman 1991): it finds as
much as a stem does, and the word as it was written finds it first.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from learner.texts.words import stem

MAX_WORDS = 4_096
"""Of one text: a description beyond that says nothing new."""

MAX_LETTERS = 64
"""Of one word; what is longer is noise, and is cut."""

WORDS_KEPT = 65_536
"""Words whose forms are remembered: a catalogue repeats itself."""

STEM_MARK = "~"
"""Before a stem in an index, so that it isn't taken for a word that was written so."""

_UNITS = {
    **dict.fromkeys(("inch", "inches", '"', "''", "zoll"), "inch"),
    **dict.fromkeys(("mm", "millimetre", "millimeter", "millimetres", "millimeters"), "mm"),
    **dict.fromkeys(("cm", "centimetre", "centimeter", "centimetres", "centimeters"), "cm"),
    **dict.fromkeys(("m", "metre", "meter", "metres", "meters"), "m"),
    **dict.fromkeys(("ft", "foot", "feet"), "ft"),
    **dict.fromkeys(("g", "gram", "grams", "gr"), "g"),
    **dict.fromkeys(("kg", "kilo", "kilos", "kilogram", "kilograms"), "kg"),
    **dict.fromkeys(("lb", "lbs", "pound", "pounds"), "lb"),
    **dict.fromkeys(("oz", "ounce", "ounces"), "oz"),
    **dict.fromkeys(("ml", "millilitre", "milliliter", "millilitres", "milliliters"), "ml"),
    **dict.fromkeys(("l", "litre", "liter", "litres", "liters"), "l"),
    **dict.fromkeys(("w", "watt", "watts"), "w"),
    **dict.fromkeys(("v", "volt", "volts"), "v"),
    **dict.fromkeys(("pc", "pcs", "pieces"), "pcs"),
    **{unit: unit for unit in "kb mb gb tb mp mah wh kw hz khz mhz ghz kbps mbps gbps dpi".split()},
}
"""Units as they are written, and how they are compared."""

_ACCENTS = re.compile("[\u0300-\u036f]")
"""Marks of Latin, Greek and Cyrillic letters; those of other scripts make another letter."""

_CJK = "\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_NUMBER = r"\d{1,3}(?:,\d{3})+(?![\d])|\d+[.,]\d+|\d+"
_TOKEN = re.compile(
    rf"(?P<cjk>[{_CJK}\U00020000-\U0003ffff]+)"
    rf"|(?P<number>{_NUMBER})(?P<space> ?)(?P<unit>''|\"|(?:[^\W\d_{_CJK}])+)?(?![\w])"
    rf"|(?P<word>[^\W_{_CJK}]+(?:[-./_+'&][^\W_{_CJK}]+)*)"
)
_PARTS = re.compile(r"\d+|[^\W\d_]+")
_PIECES = re.compile(r"[-./_+'&]+")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")


class Word(NamedTuple):
    """A word as it is compared, its stem, its parts where it has some, and how it was written.

    A stem or a part alone is weaker evidence than the word.
    """

    term: str
    stem: str
    parts: tuple[str, ...] = ()
    written: str = ""


def fold(text: str) -> str:
    """Fold case, accents and forms of writing.

    >>> fold("Café ＡＢＣ Ü ガ"), fold("STRASSE") == fold("straße")
    ('cafe abc u ガ', True)
    """
    wide = unicodedata.normalize("NFKC", text).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", wide))
    return unicodedata.normalize("NFC", bare).replace("″", '"').replace("’", "'")


def split(text: str) -> list[Word]:
    r"""The words of a text, in its order.

    >>> [word.term for word in split("Laptops, 16 GB — 15.6\" (i5-2400)")]
    ['laptops', '16gb', '15.6inch', 'i52400']
    >>> split("LP-E6N")
    [Word(term='lpe6n', stem='lpe6n', parts=('lp', 'e6n'), written='lp-e6n')]
    >>> [word.term for word in split("红茶壶")]
    ['红茶', '茶壶']
    """
    return list(itertools.islice(_words(fold(text)), MAX_WORDS))


def terms(words: Iterable[Word]) -> list[str]:
    """What an item is found by: its words, their stems (marked) and their parts.

    >>> terms(split("iPhone7 cases"))
    ['iphone7', '~iphone7', 'iphone', '~iphone', '7', '~7', 'cases', '~case']
    """
    found: list[str] = []
    for word in words:
        found += (word.term, STEM_MARK + word.stem)
        for part in word.parts:
            found += (part, STEM_MARK + stem(part))
    return found


def _words(text: str) -> Iterator[Word]:
    for found in _TOKEN.finditer(text):
        if found["cjk"]:
            yield from _pairs(found["cjk"])
        elif found["number"]:
            yield from _measured(found["number"], found["unit"] or "", bool(found["space"]))
        else:
            yield _whole(found["word"])


def _pairs(run: str) -> Iterator[Word]:
    """Each two neighbours of a run of characters; the single ones are their parts."""
    if len(run) == 1:
        yield _plain(run)
    for first, second in itertools.pairwise(run):
        yield Word(first + second, first + second, (first, second), first + second)


def _measured(number: str, unit: str, apart: bool) -> Iterator[Word]:
    """A number with its unit as one word; with anything else, as two or as a code."""
    plain = number.replace(",", "") if _THOUSANDS.fullmatch(number) else number.replace(",", ".")
    known = _UNITS.get(unit)
    if known is not None:
        yield _plain(plain + known)
    elif not unit:
        yield _plain(plain)
    elif apart:
        yield _plain(plain)
        yield _whole(unit)
    else:
        yield _whole(number + unit)


def _plain(term: str) -> Word:
    cut = term[:MAX_LETTERS]
    return Word(cut, cut, (), cut)


@lru_cache(maxsize=WORDS_KEPT)
def _whole(token: str) -> Word:
    """A word, or a code with its parts."""
    pieces = [piece[:MAX_LETTERS] for piece in _PIECES.split(token) if piece]
    term = "".join(pieces)[:MAX_LETTERS]
    parts: dict[str, None] = {}
    for piece in pieces:
        finer = _PARTS.findall(piece)
        for part in (piece, *finer) if len(finer) == 2 else (piece,):  # noqa: PLR2004
            parts[part] = None
    parts.pop(term, None)
    return Word(term, term if len(pieces) > 1 else stem(term), tuple(parts), token[:MAX_LETTERS])
