"""Cutting a text to a length without tearing apart what a reader sees as one character."""

from __future__ import annotations

import re
import unicodedata

_JOINER = "\u200d"
_CONTINUES = re.compile(
    f"[{_JOINER}"
    "\u1160-\u11ff"  # vowels and ends of Korean syllables that are written in parts
    "\u0e33\u0eb3"  # Thai and Lao vowels that are letters to Unicode
    "\U0001f3fb-\U0001f3ff"  # skin tones
    "\U000e0020-\U000e007f]"  # what follows the black flag
)
_LONGEST = 32
"""Code points of one character at most: a text of marks alone is cut where it must be."""


def cut(text: str, limit: int) -> str:
    r"""The text's begin, at most `limit` code points of it.

    A letter keeps its marks, and a joined emoji its parts, or goes as a whole: half of them would
    be another letter or picture. Of the rules for that (Unicode's UAX 29) these are the ones that
    shops' texts meet; a text that is short enough is returned as it is.

    >>> cut("茉莉绿茶茶包", 4)
    '茉莉绿茶'
    >>> cut("cafe\u0301 au lait", 4), cut("tea for 👩\u200d🚀", 9)
    ('caf', 'tea for ')
    >>> cut("tea", 200)
    'tea'
    """
    if len(text) <= limit:
        return text
    for end in range(limit, limit - _LONGEST, -1):
        if end <= 0 or not _belongs_together(text, end):
            return text[: max(0, end)]
    return text[:limit]


def _belongs_together(text: str, at: int) -> bool:
    after = text[at]
    if text[at - 1] == _JOINER or _CONTINUES.match(after):
        return True
    if unicodedata.category(after)[0] == "M":
        return True
    return _is_flag_half(after) and _flag_halves_before(text, at) % 2 > 0


def _flag_halves_before(text: str, at: int) -> int:
    begin = at
    while begin > 0 and _is_flag_half(text[begin - 1]):
        begin -= 1
    return at - begin


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
