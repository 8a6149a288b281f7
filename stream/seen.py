"""What a user had long ago, as codes of four bytes: the newest last, each once."""

from __future__ import annotations

import zlib

SEEN_MAX = 512
"""Older items of a user that are remembered by their codes: at most 2 kB in the state, in each of
the user's examples and in the online row, about as much again as the rest. Few users have so many.
With 256, every fifth event of MovieLens 1M would be by a user who had more; 1024 would make a bot's
examples twice as large for the sake of one event in sixteen there."""


def item_code(item_id: str) -> bytes:
    """Four bytes that stand for an item where ids would take too much room.

    One item in four thousand millions is taken for another.

    >>> item_code("a").hex()
    '43beb7e8'
    """
    return zlib.crc32(item_id.encode()).to_bytes(4, "little")


def remember(seen: bytes, item_id: str) -> bytes:
    """Add an item to what is remembered by code: each once, the newest last, `SEEN_MAX` at most.

    >>> remember(remember(remember(b"", "a"), "b"), "a") == item_code("b") + item_code("a")
    True
    """
    code = item_code(item_id)
    at = seen.find(code)
    while at > 0 and at % 4:  # found across two codes: look on
        at = seen.find(code, at + 1)
    if at >= 0:
        seen = seen[:at] + seen[at + 4 :]
    return (seen + code)[-4 * SEEN_MAX :]
