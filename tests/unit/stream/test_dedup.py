"""The newest events are recognised, and memory stays bounded."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.dedup import SeenEvents


def test_one_user_may_use_another_users_event_id() -> None:
    seen = SeenEvents()
    seen.add([("ann", "e1")])
    assert ("ann", "e1") in seen
    assert ("bob", "e1") not in seen


def test_a_copy_that_came_keeps_its_event_for_longer() -> None:
    seen = SeenEvents(limit=4)
    for number in range(20):
        assert not number or ("u", "again") in seen
        seen.add([("u", "again" if not number else str(number))])
    assert ("u", "again") in seen
    assert ("u", "1") not in seen


def test_no_room_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        SeenEvents(limit=0)


@given(st.lists(st.lists(st.integers(0, 30), max_size=5)), st.integers(1, 9))
def test_the_newest_are_held_and_memory_is_bounded(runs: list[list[int]], limit: int) -> None:
    seen = SeenEvents(limit)
    came: list[int] = []
    for run in runs:
        keys = [("u", str(number)) for number in run]
        assert seen.none_of(keys) == (not any(key in deepcopy(seen) for key in keys))
        seen.add(keys)
        came += run
        # `none_of`, because what is asked for counts as having come again.
        assert not any(seen.none_of([("u", str(number))]) for number in came[-limit:])
        assert len(seen) <= 1.5 * limit + 1.5 + 15  # each set may be a run larger
