"""Many records decoded by one call, each a JSON object in one line."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import TypeVar

import msgspec

from stream.batching import Record

DECODE_FAULTS = (msgspec.MsgspecError, UnicodeError, RecursionError)

T = TypeVar("T")


def join_lines(records: Sequence[Record]) -> bytes | None:
    """The values of records, a line each; `None` where one may not be an object in one line.

    A line that begins with a brace and ends with one can't be half an object, whose other half is
    the next line: after a closing brace, JSON has no opening one but at its outermost level. So as
    many objects as lines are one in each.
    """
    try:
        lines = b"\n".join(map(attrgetter("value"), records))
    except TypeError:  # a tombstone
        return None
    borders = len(records) - 1
    whole = (
        lines.startswith(b"{")
        and lines.endswith(b"}")
        and lines.count(b"\n") == lines.count(b"}\n{") == borders
    )
    return lines if whole else None


def decode_lines(decoder: msgspec.json.Decoder[T], lines: bytes, count: int) -> list[T] | None:
    r"""Decode as many objects as there are lines; `None` where one of them is none.

    >>> decode_lines(msgspec.json.Decoder(dict[str, int]), b'{"a":1}\n{"b":2}', 2)
    [{'a': 1}, {'b': 2}]
    """
    try:
        found = decoder.decode_lines(lines)
    except DECODE_FAULTS:
        return None
    return found if len(found) == count else None


def plain(lines: bytes) -> bool:
    r"""Whether all strings in JSON are plain for certain: printable, no space at either end.

    That is so where it has nothing but ASCII, no escapes, and no space beside a quote. Control
    characters but the last aren't allowed in JSON's strings anyway.

    >>> [plain(b'{"id":"%s"}' % text) for text in (b"a b", b" a", b"\\u0007", b"\xc3\xa4")]
    [True, False, False, False]
    """
    odd = (b"\\", b"\x7f", b'" ', b' "')
    return lines.isascii() and not any(found in lines for found in odd)
