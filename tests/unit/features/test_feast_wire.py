"""Values on their way to Redis have the bytes that Feast's own protobufs have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from feast import ValueType
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from features.feast_values import to_proto
from features.feast_wire import wire_of, wire_time

whole = st.integers(-(2**63), 2**63 - 1)
real = st.floats(width=32, allow_nan=False)
values: dict[ValueType, st.SearchStrategy[Any]] = {
    ValueType.BYTES: st.binary(max_size=300),
    ValueType.STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    ValueType.INT64: whole,
    ValueType.DOUBLE: st.floats(allow_nan=False),
    ValueType.STRING_LIST: st.lists(st.text(st.characters(exclude_categories=["Cs"]))).map(tuple),
    ValueType.INT64_LIST: st.lists(whole).map(tuple),
    ValueType.DOUBLE_LIST: st.lists(st.floats(allow_nan=False)).map(tuple),
    ValueType.FLOAT_LIST: st.lists(real, max_size=70).map(tuple),
    ValueType.BOOL: st.just(Value(bool_val=True).SerializeToString()),
}


@given(st.data())
@pytest.mark.parametrize("kind", list(values), ids=lambda kind: kind.name)
def test_the_bytes_are_protobufs(kind: ValueType, data: st.DataObject) -> None:
    value = data.draw(values[kind])
    assert wire_of(kind)(value) == to_proto(kind, value).SerializeToString()


@given(st.integers(0, 99_999_999_999_999))
def test_a_time_is_a_protobufs(time_ms: int) -> None:
    stamp = Timestamp()
    stamp.FromMilliseconds(time_ms)
    assert wire_time(time_ms) == stamp.SerializeToString()


def test_a_time_is_the_same_moment() -> None:
    stamp = Timestamp.FromString(wire_time(1_700_000_000_123))
    assert stamp.ToDatetime(UTC) == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
