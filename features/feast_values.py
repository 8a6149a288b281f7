"""Feast's protobuf values and plain ones: what a row's features are outside of Feast.

Types that our own view doesn't use stay serialised, so that a shop's other views may be kept too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from features.feast_import import light_imports
from features.store import UserFeatures

with light_imports():
    from feast import FeatureView, ValueType
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_make: Any = Value
"""Lists given as dictionaries are not in Feast's type stubs, but build in half the time."""

_TO_PROTO: dict[ValueType, Callable[[Any], Value]] = {
    ValueType.STRING: lambda value: Value(string_val=value),
    ValueType.BYTES: lambda value: Value(bytes_val=value),
    ValueType.INT64: lambda value: Value(int64_val=value),
    ValueType.DOUBLE: lambda value: Value(double_val=value),
    ValueType.STRING_LIST: lambda values: _make(string_list_val={"val": values}),
    ValueType.INT64_LIST: lambda values: _make(int64_list_val={"val": values}),
    ValueType.DOUBLE_LIST: lambda values: _make(double_list_val={"val": values}),
    ValueType.FLOAT_LIST: lambda values: _make(float_list_val={"val": values}),
}

_FROM_PROTO: dict[ValueType, Callable[[Value], Any]] = {
    ValueType.STRING: lambda proto: proto.string_val,
    ValueType.BYTES: lambda proto: proto.bytes_val,
    ValueType.INT64: lambda proto: proto.int64_val,
    ValueType.DOUBLE: lambda proto: proto.double_val,
    ValueType.STRING_LIST: lambda proto: tuple(proto.string_list_val.val),
    ValueType.INT64_LIST: lambda proto: tuple(proto.int64_list_val.val),
    ValueType.DOUBLE_LIST: lambda proto: tuple(proto.double_list_val.val),
    ValueType.FLOAT_LIST: lambda proto: tuple(proto.float_list_val.val),
}


def to_proto(kind: ValueType, value: Any) -> Value:
    """Turn a feature's plain value into Feast's.

    >>> to_proto(ValueType.INT64_LIST, (3, 4)).int64_list_val.val
    [3, 4]
    """
    if value is None:
        return Value()
    make = _TO_PROTO.get(kind)
    return Value.FromString(value) if make is None else make(value)


def from_proto(kind: ValueType, proto: Value) -> Any:
    """Turn Feast's value of a feature into a plain one, `None` where it has none.

    >>> from_proto(ValueType.STRING, Value(string_val="tea")), from_proto(ValueType.BOOL, Value())
    ('tea', None)
    """
    if proto.WhichOneof("val") is None:
        return None
    take = _FROM_PROTO.get(kind)
    return proto.SerializeToString() if take is None else take(proto)


def entity_key(user_id: str) -> EntityKey:
    """Name a user as Feast does."""
    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])


def kinds_of(view: FeatureView) -> dict[str, ValueType]:
    """The type of each feature of a view, by name."""
    return {field.name: field.dtype.to_value_type() for field in view.features}


def datetime_of(time_ms: int) -> datetime:
    """A time as Feast takes it."""
    return _EPOCH + time_ms * _MILLISECOND


def milliseconds_of(time: datetime) -> int:
    """A time of Feast's; without a zone it is UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND


def row_of(
    user_id: str, updated_ms: int, protos: dict[str, Value], kinds: dict[str, ValueType]
) -> UserFeatures | None:
    """A user's features from Feast's values; `None` if there are none."""
    known = {
        name: from_proto(kinds[name], proto)
        for name, proto in protos.items()
        if name in kinds and proto.WhichOneof("val") is not None
    }
    return UserFeatures(user_id=user_id, updated_ms=updated_ms, **known) if known else None


_USER_KEY: bytes = serialize_entity_key(entity_key(""), entity_key_serialization_version=3)[:-4]
"""What comes before the id's length and the id in a user's key."""


def user_key(user_id: str) -> bytes:
    """A user's key serialised as Feast does, in a tenth of the time.

    >>> user_key("ada") == serialize_entity_key(entity_key("ada"), 3)
    True
    """
    text = user_id.encode()
    return _USER_KEY + len(text).to_bytes(4, "little") + text
