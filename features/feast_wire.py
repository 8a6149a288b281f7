"""Feast's values as the bytes that its protobufs would be, without the objects in between.

A user's row is 25 values; making an object of each and serialising it took longer than all else
that is done to write the row to Redis. Types that our own view doesn't have are left to protobuf.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import Struct
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from features.feast_import import light_imports
from features.feast_values import to_proto

with light_imports():
    from feast import ValueType
    from feast.protos.feast.types.Value_pb2 import Int64List, StringList

_VARINT_BITS = 7
_MORE = 0x80
_SIXTY_FOUR_BITS = (1 << 64) - 1
_MS = 1_000_000
"""Nanoseconds."""

_double = Struct("<cd").pack
_small = [bytes([number]) for number in range(_MORE)]


def _varint(number: int) -> bytes:
    """A whole number, seven bits a byte; a negative one as if it had 64 bits."""
    if 0 <= number < _MORE:
        return _small[number]
    number &= _SIXTY_FOUR_BITS
    found = bytearray()
    while number >= _MORE:
        found.append(number & (_MORE - 1) | _MORE)
        number >>= _VARINT_BITS
    found.append(number)
    return bytes(found)


def _sized(tag: bytes, value: bytes) -> bytes:
    size = len(value)
    return tag + (_small[size] if size < _MORE else _varint(size)) + value


def _numbers(tag: bytes, code: str) -> Callable[[Any], bytes]:
    def wire(values: Any) -> bytes:
        packed = array(code, values)
        return _sized(tag, _sized(b"\x0a", packed.tobytes()) if packed else b"")

    return wire


# Tags are `Value`'s field numbers and how the value is laid out; 0x0a is field 1 of a list.
_WIRE: dict[ValueType, Callable[[Any], bytes]] = {
    ValueType.BYTES: lambda value: _sized(b"\x0a", value),
    ValueType.STRING: lambda value: _sized(b"\x12", value.encode()),
    ValueType.INT64: lambda value: b"\x20" + _varint(value),
    ValueType.DOUBLE: lambda value: _double(b"\x29", value),
    ValueType.STRING_LIST: lambda values: _sized(
        b"\x62", StringList(val=values).SerializeToString()
    ),
    ValueType.INT64_LIST: lambda values: _sized(b"\x72", Int64List(val=values).SerializeToString()),
    ValueType.DOUBLE_LIST: _numbers(b"\x7a", "d"),
    ValueType.FLOAT_LIST: _numbers(b"\x82\x01", "f"),
}


def wire_of(kind: ValueType) -> Callable[[Any], bytes]:
    """What turns a feature's plain value into the bytes of Feast's.

    >>> wire_of(ValueType.INT64)(300) == to_proto(ValueType.INT64, 300).SerializeToString()
    True
    """
    make = _WIRE.get(kind)
    if make is None:
        return lambda value: bytes(to_proto(kind, value).SerializeToString())
    return make


def wire_time(time_ms: int) -> bytes:
    """A time as the bytes of a protobuf timestamp."""
    seconds, ms = divmod(time_ms, 1000)
    return bytes(Timestamp(seconds=seconds, nanos=ms * _MS).SerializeToString())
