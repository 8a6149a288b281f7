"""A text as words, numbers with their units, marks and symbols, in any script.

Numbers are read as numbers, wherever they come from: `1,200` is `1200`, `39.00` is `39`, `two` is
`2`. A unit stays with its number, under one name: `100 grams` is `100 g`, and no `100`. Words are
compared in lower case and without a plural's ending; more isn't cut off, for `ironing` isn't iron.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

TokenKind = Literal["word", "number", "mark", "symbol"]

UNITS: dict[str, str] = {
    alias: unit
    for unit, aliases in {
        "mg": "mg milligram", "g": "g gram gramme gr 克", "kg": "kg kilogram kilo 千克 公斤",
        "lb": "lb pound", "oz": "oz ounce", "ml": "ml millilitre milliliter 毫升", "cl": "cl",
        "l": "l litre liter 升", "gal": "gal gallon", "mm": "mm millimetre millimeter 毫米",
        "cm": "cm centimetre centimeter 厘米", "m": "m metre meter 米", "km": "km kilometre",
        "inch": "inch inche zoll 英寸", "ft": "ft foot feet", "w": "w watt 瓦", "kw": "kw kilowatt",
        "v": "v volt", "mah": "mah", "wh": "wh", "hz": "hz hertz", "khz": "khz", "mhz": "mhz",
        "ghz": "ghz", "kb": "kb", "mb": "mb megabyte", "gb": "gb gigabyte", "tb": "tb terabyte",
        "mp": "mp megapixel", "db": "db decibel", "min": "min minute 分钟",
        "h": "h hr hour 小时", "day": "day 天",
        "week": "week 周", "month": "month 个月",
        "year": "year yr 年", "%": "% percent", "count": "count ct pc pcs piece",
        "°": "° degree",
    }.items()
    for alias in aliases.split()
}  # fmt: skip
"""By every way to write it; `in` is no unit, for it is a word."""

_SOFT = "'’-‐‑/&_"
"""Marks inside of names and compounds: they part words, and break nothing off."""

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts that write words one after the other without spaces."""

_FEET_AND_INCHES = {"'": "ft", "’": "ft", "′": "ft", '"': "inch", "”": "inch", "″": "inch"}

_FRACTION = re.compile("[¼-¾⅐-⅞↉]")
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
_PLURALS = (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"))
_SHORT = 3


class Token(NamedTuple):
    """A part of a text.

    Attributes
    ----------
    text
        As it is compared: a stem, or a number with its unit.
    kind
        Marks part clauses; symbols are all that is neither a letter, a digit nor a mark.
    capital
        Whether it is written with a capital.
    start
        Whether it begins a sentence, where a capital means nothing.
    """

    text: str
    kind: TokenKind
    capital: bool = False
    start: bool = False


def tokens(text: str, number_words: Mapping[str, str]) -> list[Token]:
    r"""Cut a text.

    Parameters
    ----------
    number_words
        Numbers written out, by word.

    Examples
    --------
    >>> [token.text for token in tokens("Two Teapots, 1.20 litres: £39.00", {"two": "2"})]
    ['2', 'teapot', ',', '1.2 l', ':', '£', '39']
    >>> [token.text for token in tokens("铸铁茶壶 100克", {})]
    ['铸铁茶壶', '100 g']
    >>> [token.text for token in tokens("1½ inches, 12\" and −5 °C", {})]
    ['1', '1/2 inch', ',', '12 inch', 'and', '-5 °', 'c']
    """
    found: list[Token] = []
    begins = True
    for raw in _runs(unicodedata.normalize("NFKC", _FRACTION.sub(_spelt, text))):
        if raw[-1].isdecimal() and not _is_letter(raw[0]):
            found.append(Token(_number(raw), "number", start=begins))
        elif _is_letter(raw[0]):
            word = stem(raw.casefold())
            known = number_words.get(word)
            unit = UNITS.get(word)
            if unit and found and found[-1].kind == "number" and " " not in found[-1].text:
                found[-1] = found[-1]._replace(text=f"{found[-1].text} {unit}")
            elif known:
                found.append(Token(known, "number", start=begins))
            else:
                found.append(Token(word, "word", raw[0] != raw[0].lower(), begins))
        elif raw in UNITS and found and found[-1].kind == "number" and " " not in found[-1].text:
            found[-1] = found[-1]._replace(text=f"{found[-1].text} {UNITS[raw]}")
        elif raw[0] in _FEET_AND_INCHES and len(raw) > 1:
            found[-1] = found[-1]._replace(text=f"{found[-1].text} {_FEET_AND_INCHES[raw[0]]}")
        else:
            mark = unicodedata.category(raw)[0] == "P" and raw not in "@#*\\%&"
            found.append(Token(raw, "mark" if mark else "symbol"))
            begins = raw in ".!?:;。！？：；…" if mark else begins
            continue
        begins = False
    return found


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Without a plural's or a genitive's ending.

    >>> [stem(word) for word in ("boots", "batteries", "glass", "watches", "ironing", "men's")]
    ['boot', 'battery', 'glass', 'watch', 'ironing', 'men']
    """
    word = word.replace("’", "'").removesuffix("'s")
    if not word.isalpha() or len(word) <= _SHORT:
        return word
    for ending, instead in _PLURALS:
        if word.endswith(ending):
            return word[: -len(ending)] + instead
    return word[:-1] if word.endswith("s") and word[-2] not in "siu" else word


@lru_cache(maxsize=4_096)
def unspaced(letter: str) -> bool:
    """Whether a letter's script writes words without spaces between them."""
    return unicodedata.name(letter, "").startswith(_UNSPACED)


@lru_cache(maxsize=4_096)
def _is_letter(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LM"


def _runs(text: str) -> Iterator[str]:
    """Letters with letters, digits with digits; every other character alone, and no spaces."""
    at, end = 0, len(text)
    while at < end:
        letter, begin = text[at], at
        at += 1
        if letter.isdecimal() or (letter in "-−" and _is_sign(text, begin)):
            while at < end and (
                text[at].isdecimal()
                or (text[at] in ".,/" and at + 1 < end and text[at + 1].isdecimal())
            ):
                at += 1
            yield text[begin:at]
            if at < end and text[at] in _FEET_AND_INCHES:
                yield text[at] + "|"
                at += 1
        elif _is_letter(letter):
            apart = unspaced(letter)
            while at < end and _goes_on(text, at, apart):
                at += 1
            yield text[begin:at]
        elif not letter.isspace() and letter not in _SOFT:
            yield letter


def _is_sign(text: str, at: int) -> bool:
    """Whether a minus belongs to a number: nothing is before it, and a digit after it."""
    return text[at + 1 : at + 2].isdecimal() and (at == 0 or text[at - 1].isspace())


def _spelt(fraction: re.Match[str]) -> str:
    return " " + unicodedata.normalize("NFKC", fraction[0]).replace("\u2044", "/")


def _goes_on(text: str, at: int, apart: bool) -> bool:
    """Whether a word goes on: with a letter of its kind, a digit (`MP3`), or an apostrophe."""
    letter = text[at]
    if letter in "'’":
        return at + 1 < len(text) and _is_letter(text[at + 1]) and not apart
    if letter.isdecimal():
        return not apart
    return _is_letter(letter) and unspaced(letter) == apart


def _number(raw: str) -> str:
    """One way to write a number; what isn't a plain one (`3/4`, `007`, `1.2.3`) stays as it is."""
    raw = "".join(str(unicodedata.digit(c, c)) for c in raw.replace("−", "-"))
    if _THOUSANDS.fullmatch(raw):
        raw = raw.replace(",", "")
    whole, point, part = raw.replace(",", ".").partition(".")
    if point and part.isdigit():
        part = part.rstrip("0")
        return f"{whole}.{part}" if part else whole
    return raw
