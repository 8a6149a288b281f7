"""The state of one user, as a struct in memory and as compact bytes in the table."""

from __future__ import annotations

from itertools import accumulate, repeat
from operator import attrgetter, sub

import msgspec

from features.pulls import Interests
from features.readings import NOTHING_READ, Readings
from features.shift import ShiftState
from features.words_text import NO_WORDS, Words
from stream.errors import Halt
from stream.events import KIND_CODE, KINDS, Step

VERSION = 4
"""The layout of the bytes. A process that meets a newer one stops, rather than to lose what the
newer version remembered. States of version 1, which had no `seen`, 2, which had no readings,
and 3, which had no words, are read."""


class Mark(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far a partition was applied to this user."""

    offset: int = -1
    received_ms: int = -1

    def covers(self, offset: int, received_ms: int) -> bool:
        """Whether a record was applied before."""
        return offset <= self.offset and received_ms <= self.received_ms


class Mean(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A running mean."""

    n: int = 0
    value: float = 0.0

    def add(self, value: float | None) -> Mean:
        """The mean with one more value; `None` adds nothing."""
        if value is None:
            return self
        return Mean(self.n + 1, self.value + (value - self.value) / (self.n + 1))


class Profile(msgspec.Struct, frozen=True, gc=False):
    """The state of one user; `encode` and `decode` turn it into bytes and back."""

    steps: tuple[Step, ...] = ()
    seen: bytes = b""
    counts: tuple[int, ...] = (0,) * len(KINDS)
    categories: dict[str, int] = {}
    brands: dict[str, int] = {}
    price: Mean = Mean()
    rating: Mean = Mean()
    sentiment: Mean = Mean()
    interests: Interests = Interests()
    shift: ShiftState = ShiftState()
    ids: bytes = b""
    partition: int = -1
    applied: Mark = Mark()
    sources: dict[int, Mark] = {}
    last_event_id: str = ""
    first_ms: int = 0
    last_ms: int = 0
    readings: Readings = NOTHING_READ
    words: Words = NO_WORDS

    @property
    def events(self) -> int:
        """How many events were applied."""
        return sum(self.counts)


EMPTY = Profile()
"""The profile of a user who has done nothing yet."""


# As bytes ---------------------------------------------------------------------------------------


class _Packed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A profile on its way to the table: the steps column by column, times as differences."""

    version: int
    items: tuple[str, ...]
    kinds: bytes
    times: tuple[int, ...]
    ratings: tuple[float | int | None, ...]
    counts: tuple[int, ...]
    categories: dict[str, int]
    brands: dict[str, int]
    price: Mean
    rating: Mean
    sentiment: Mean
    interests: Interests
    shift: ShiftState
    ids: bytes
    partition: int
    applied: Mark
    sources: dict[int, Mark]
    last_event_id: str
    first_ms: int
    last_ms: int
    seen: bytes = b""
    readings: Readings = NOTHING_READ
    words: Words = NO_WORDS


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """As much of `_Packed` as says how far it goes; the rest is passed over unread."""

    version: int
    items: msgspec.Raw
    kinds: msgspec.Raw
    times: msgspec.Raw
    ratings: msgspec.Raw
    counts: msgspec.Raw
    categories: msgspec.Raw
    brands: msgspec.Raw
    price: msgspec.Raw
    rating: msgspec.Raw
    sentiment: msgspec.Raw
    interests: msgspec.Raw
    shift: msgspec.Raw
    ids: msgspec.Raw
    partition: int
    applied: Mark


_decode_head = msgspec.msgpack.Decoder(_Head).decode
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode
_decode_any = msgspec.msgpack.Decoder().decode


def encode(profile: Profile) -> bytes:
    """Turn a profile into the bytes of a table's value.

    >>> decode(encode(EMPTY)) == EMPTY
    True
    """
    steps = profile.steps
    times = [step.ts_ms for step in steps]
    ratings = [step.rating for step in steps]
    rated = ratings.count(None) < len(ratings)
    return _encode(
        _Packed(
            VERSION,
            tuple([step.item_id for step in steps]),
            bytes([KIND_CODE[step.kind] for step in steps]),
            (*times[:1], *map(sub, times[1:], times)),
            tuple(map(_short, ratings)) if rated else (),
            *_packed_rest(profile),
        )
    )


def decode(value: bytes) -> Profile:
    """Turn a table's value back into a profile.

    Raises
    ------
    Halt
        If the bytes were written by a newer version, or are no profile.
    """
    try:
        packed = _decode(value)
    except (msgspec.DecodeError, ValueError) as error:
        raise Halt(_refusal(value, error)) from error
    if not 1 <= packed.version <= VERSION:
        raise Halt(_refusal(value, None))
    kinds = [KINDS[code] for code in packed.kinds]
    ratings = [None if rating is None else float(rating) for rating in packed.ratings]
    steps = map(Step, packed.items, kinds, accumulate(packed.times), ratings or repeat(None))
    return Profile(tuple(steps), *_unpacked_rest(packed))


def is_older(value: bytes, than: bytes) -> bool:
    """Whether a table's value had fewer events applied to it than another one of the same user.

    Bytes that are no profile are older than nothing: whoever reads them says what is wrong.

    >>> early, late = (encode(Profile(partition=3, applied=Mark(at, at))) for at in (5, 6))
    >>> is_older(early, late), is_older(late, early), is_older(late, late), is_older(b"?", late)
    (True, False, False, False)
    """
    try:
        mine, other = _decode_head(value), _decode_head(than)
    except (msgspec.DecodeError, ValueError):
        return False
    same = mine.partition == other.partition and mine.applied != other.applied
    return same and other.applied.covers(mine.applied.offset, mine.applied.received_ms)


_packed_rest = attrgetter(*_Packed.__struct_fields__[5:])
_unpacked_rest = attrgetter(*Profile.__struct_fields__[1:])
"""All but the steps, in the order of the one that is made."""


def _short(rating: float | None) -> float | int | None:
    """Whole stars take one byte instead of nine."""
    return int(rating) if rating is not None and rating.is_integer() else rating


def _refusal(value: bytes, error: Exception | None) -> str:
    version: object = None
    try:
        version = _decode_any(value)[0]
    except (msgspec.DecodeError, ValueError, TypeError, LookupError):
        pass
    if isinstance(version, int) and version > VERSION:
        return (
            f"a profile in the table has state version {version}, this program knows {VERSION}: "
            "start the newer program again, or begin with an empty table under another app id"
        )
    return (
        f"a profile in the table can't be read ({error or f'state version {version}'}; "
        f"{len(value)} bytes): the table or its changelog was written by something else"
    )
