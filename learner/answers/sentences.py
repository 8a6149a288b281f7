"""A text as sentences, each with where it stands: what is quoted is cut out, never written anew."""

from __future__ import annotations

import re
from typing import NamedTuple

_END = re.compile(
    r"""(?<![.!?…])[.!?…]++["')\]”’]*+(?=\s|$)   # a mark before a space; a run is tried once
    |(?<=[a-z\d)])[.!?]++(?=[A-Z][a-z'’]|I\b)  # or, as shoppers write, before a capital
    |[。！？；]+[”’」』）]*          # or a mark of Chinese, which needs no space
    |\n+""",
    re.VERBOSE,
)
_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:approx|e\.g|i\.e|incl|excl|etc|vs|mr|mrs|ms|dr|st|no|nr|oz|lb|lbs|in|ft|yr|hr"
    r"|min|max|[a-z])\.$",
    re.IGNORECASE,
)
_NEXT = re.compile(r"\S")
_CLAUSE = re.compile(r"[,;:，、：]\s*|\s+(?=and |but |because |so |which |while )")
_SHORTEST = 2


class Span(NamedTuple):
    """Where something stands in a text, in characters; `end` is the first one after it."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """Cut it out.

        >>> Span(4, 7).of("tea pot")
        'pot'
        """
        return text[self.start : self.end]


def sentences(text: str, longest: int = 400) -> list[Span]:
    r"""Sentences in order; they don't overlap, and what is left out is white space.

    Parameters
    ----------
    longest
        A sentence of more characters is cut, at a comma or a space where there is one: some
        shoppers use no full stops.

    Examples
    --------
    >>> text = "It weighs 1.5 kg approx. 3 lb. Very quiet!I use it daily\nThanks"
    >>> [span.of(text) for span in sentences(text)]
    ['It weighs 1.5 kg approx. 3 lb.', 'Very quiet!', 'I use it daily', 'Thanks']
    >>> [span.of("质量很好。声音不大！") for span in sentences("质量很好。声音不大！")]
    ['质量很好。', '声音不大！']
    """
    found: list[Span] = []
    start = 0
    for mark in _END.finditer(text):
        if mark[0] == "." and text[mark.end() : mark.end() + 1].isspace():
            head = text[max(start, mark.end() - 12) : mark.end()]
            after = _NEXT.search(text, mark.end())
            if _ABBREVIATED.search(head) and not (after and after[0].isupper()):
                continue
        found += _stripped(text, start, mark.end(), longest)
        start = mark.end()
    found += _stripped(text, start, len(text), longest)
    return found


def _stripped(text: str, start: int, end: int, longest: int) -> list[Span]:
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    end -= len(part) - len(part.rstrip())
    spans = []
    while end - start > longest:
        at = _cut(text, start, start + longest)
        spans += _stripped(text, start, at, longest)
        start = at
        while start < end and text[start].isspace():
            start += 1
    if sum(letter.isalnum() for letter in text[start:end]) >= _SHORTEST or (
        start < end and any(letter > "⺀" for letter in text[start:end])
    ):
        spans.append(Span(start, end))
    return spans


def _cut(text: str, start: int, most: int) -> int:
    """The last comma before a place, or else the last space, or else the place itself."""
    least = start + (most - start) // 2
    commas = [mark.end() for mark in _CLAUSE.finditer(text, least, most)]
    if commas:
        return commas[-1]
    space = text.rfind(" ", least, most)
    return most if space < 0 else space
