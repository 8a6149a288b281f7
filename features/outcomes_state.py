"""What is remembered of the lists that one user was shown, as structs and as bytes in a table."""

from __future__ import annotations

import msgspec

from stream.errors import Halt
from stream.events import Kind

VERSION = 1
"""The layout of the bytes; a process that meets a newer one stops."""

NEVER_MS = (1 << 63) - 1
"""Stands for "nothing to close" in the head of the bytes."""

HEAD_BYTES = 9
"""The layout's version, and when something closes next: read without decoding the rest."""


class At(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a record stands in its topic, and when it was written."""

    partition: int = -1
    offset: int = -1
    ms: int = -1

    def covers(self, other: At) -> bool:
        """Whether a record was taken before: it isn't after this one, nor newer."""
        return (
            self.partition == other.partition
            and other.offset <= self.offset
            and other.ms <= self.ms
        )


class ShownItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An item of a list, and what was done to it."""

    item_id: str
    score: float
    clicked_ms: int | None = None
    carted_ms: int | None = None
    bought_ms: int | None = None
    price: float | None = None
    quantity: int = 1
    final: bool = False

    @property
    def touched(self) -> bool:
        """Whether the user did anything to it."""
        return (self.clicked_ms, self.carted_ms, self.bought_ms) != (None, None, None)


class ShownList(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A list that a user was shown."""

    recommendation_id: str
    surface: str
    variant: str
    model_version: int | None
    shown_ms: int
    items: tuple[ShownItem, ...]


class Act(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a user did, as long as its list isn't there."""

    item_id: str
    kind: Kind
    ms: int
    recommendation_id: str | None = None
    price: float | None = None
    quantity: int = 1


class Shows(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of one user: lists by the time of their showing, and what waits for a list."""

    lists: tuple[ShownList, ...] = ()
    acts: tuple[Act, ...] = ()
    lists_at: At = At()
    acts_at: At = At()


EMPTY = Shows()
"""The state of a user who was shown nothing."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Shows).decode


def encode(state: Shows, due_ms: int | None) -> bytes:
    """Turn a state into the bytes of a table's value; `due_ms` is when something closes next.

    >>> decode(encode(EMPTY, None)) == EMPTY, due_of(encode(EMPTY, 7))
    (True, 7)
    """
    head = NEVER_MS if due_ms is None else due_ms
    return bytes([VERSION]) + head.to_bytes(8, "big") + _encode(state)


def decode(value: bytes) -> Shows:
    """Turn a table's value back into a state.

    Raises
    ------
    Halt
        If the bytes were written by a newer version, or are no such state.
    """
    if value[:1] != bytes([VERSION]):
        message = (
            f"a user's shown lists have state version {value[:1].hex()}, this program knows "
            f"{VERSION}: start the newer program again, or delete the table and its changelog"
        )
        raise Halt(message)
    try:
        return _decode(value[HEAD_BYTES:])
    except (msgspec.DecodeError, ValueError) as error:
        message = f"a user's shown lists can't be read ({error}; {len(value)} bytes)"
        raise Halt(message) from error


def due_of(value: bytes) -> int:
    """When something of a table's value closes next."""
    return int.from_bytes(value[1:HEAD_BYTES], "big")


def is_older(value: bytes, than: bytes) -> bool:
    """Whether a table's value has taken less than another one of the same user."""
    try:
        mine, other = decode(value), decode(than)
    except Halt:
        return False
    ahead = (mine.lists_at, mine.acts_at) != (other.lists_at, other.acts_at)
    goes_on = _goes_on(mine.lists_at, other.lists_at) and _goes_on(mine.acts_at, other.acts_at)
    return ahead and goes_on


def _goes_on(mine: At, other: At) -> bool:
    return mine.partition < 0 or (mine.partition == other.partition and other.covers(mine))
