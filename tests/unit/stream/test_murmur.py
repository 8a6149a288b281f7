"""The partitions of many keys are those of each."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream.murmur import partition_of, partitions_of


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40)), st.integers(1, 100))
@example([bytes([255]) * length for length in range(257)], 7)
@example([], 1)
def test_each_key_gets_the_partition_that_it_gets_by_itself(
    keys: list[bytes], partitions: int
) -> None:
    assert partitions_of(keys, partitions) == [partition_of(key, partitions) for key in keys]
