"""Texts of any script as hashed n-grams of characters, and words.

Legend: `N` texts, `M` different n-grams, text after text.

Characters in runs of one to five carry a meaning in every script, with or without spaces, and
through misspellings (fastText: Bojanowski et al., "Enriching word vectors with subword
information", 2017); words and pairs of words say more where a script has spaces. Each kind has a
table of its own, and weighs the same however many there are (Weinberger et al., "Feature hashing",
2009). All runs of a micro-batch are hashed at once.
"""

from __future__ import annotations

import html
import re
import unicodedata
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

KINDS = 2
"""Characters; words."""

_WORD = re.compile(r"\w+(?:'\w+)?")

_STEP = np.uint64(1_099_511_628_211)
_SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)


class Bags(NamedTuple):
    """What texts consist of. Text `n` has the entries `starts[n]` to `starts[n + 1]`."""

    at_M: NDArray[np.int64]
    """Buckets: characters' below `2 ** bits`, words' above."""
    weight_M: NDArray[np.float32]
    """1 + log of how often it occurs in the text."""
    starts: NDArray[np.int64]

    @property
    def row_M(self) -> NDArray[np.int64]:
        """The text that each entry belongs to."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def cleaned(text: str, longest: int) -> str:
    r"""A text as it is read: entities resolved, letters of one form, a long one's middle left out.

    The end of a long review often sums it up.

    >>> cleaned("I&#39;d  buy\nit", 99), cleaned("０１２３４５６７８９", 4)
    ("I'd buy it", '01 89')
    """
    text = " ".join(unicodedata.normalize("NFKC", html.unescape(text)).split())
    return text if len(text) <= longest else f"{text[: longest // 2]} {text[-(longest // 2) :]}"


def hashed(texts: Sequence[str], bits: int, longest: int) -> Bags:
    """Hash texts into tables of `2 ** bits` buckets, by runs of up to `longest` characters.

    >>> bags = hashed(["好", "tea tea", ""], bits=18, longest=2)
    >>> np.diff(bags.starts).tolist()
    [5, 10, 0]
    """
    rows, buckets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for n, text in enumerate(texts):
        if text:
            found = np.concatenate([_runs(text.casefold(), bits, longest), _words(text, bits)])
            buckets.append(found)
            rows.append(np.full(len(found), n))
    width = KINDS << bits
    key_M, count_M = np.unique(
        np.concatenate(rows) * width + np.concatenate(buckets), return_counts=True
    )
    starts = np.searchsorted(key_M, np.arange(len(texts) + 1) * width)
    return Bags(key_M % width, 1 + np.log(count_M).astype(np.float32), starts)


def _runs(text: str, bits: int, longest: int) -> NDArray[np.int64]:
    code = np.frombuffer(f" {text} ".encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    code = (code + np.uint64(7)) * _SPREAD
    parts, run = list[NDArray[np.int64]](), np.zeros(len(code), np.uint64)
    for length in range(1, min(longest, len(code)) + 1):
        run = run[: len(code) - length + 1] * _STEP + code[length - 1 :]
        parts.append(_bucket(run ^ (run >> np.uint64(29)), bits))
    return np.concatenate(parts)


def _words(text: str, bits: int) -> NDArray[np.int64]:
    words = _WORD.findall(text.casefold())
    code = np.array([zlib.crc32(word.encode("utf-8", "replace")) for word in words], np.uint64)
    pairs = code[:-1] * _STEP ^ code[1:]
    return _bucket(np.concatenate([code, pairs]), bits) + (1 << bits)


def _bucket(code: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    return ((code * _SPREAD) >> np.uint64(64 - bits)).astype(np.int64)
