"""Many records decoded by one call, each a JSON object in one line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from operator import attrgetter
from typing import TypeVar

import msgspec

from stream.batching import Record

DECODE_FAULTS = (msgspec.MsgspecError, UnicodeError, RecursionError)

T = TypeVar("T")


def decode_lines(
    decoder: msgspec.json.Decoder[T], records: Sequence[Record], most: int = sys.maxsize
) -> list[T] | None:
    """Decode records in one call; `None` where one of them may not be an object in one line.

    A line that begins with a brace and ends with one can't be half an object, whose other half is
    the next line: after a closing brace, JSON has no opening one but at its outermost level. So as
    many objects as lines are one in each.

    Parameters
    ----------
    most
        Bytes of all of them together; more are not decoded.
    """
    try:
        lines = b"\n".join(map(attrgetter("value"), records))
    except TypeError:  # a tombstone
        return None
    borders = len(records) - 1
    if not (
        len(lines) <= most
        and lines.startswith(b"{")
        and lines.endswith(b"}")
        and lines.count(b"\n") == lines.count(b"}\n{") == borders
    ):
        return None
    try:
        found = decoder.decode_lines(lines)
    except DECODE_FAULTS:
        return None
    return found if len(found) == len(records) else None
