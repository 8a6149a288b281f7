"""The newest events are recognised, and memory stays bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.dedup import SeenEvents


def test_one_user_may_use_another_users_event_id() -> None:
    seen = SeenEvents()
    seen.add([("ann", "e1")])
    assert ("ann", "e1") in seen
    assert ("bob", "e1") not in seen


def test_what_came_up_longest_ago_is_forgotten_first() -> None:
    seen = SeenEvents(limit=3)
    seen.add([("u", "1"), ("u", "2"), ("u", "3")])
    assert ("u", "1") in seen
    seen.add([("u", "2"), ("u", "4")])
    assert [(("u", str(n)) in seen) for n in (1, 2, 3, 4)] == [True, True, False, True]


def test_no_room_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        SeenEvents(limit=0)


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_the_newest_distinct_keys_are_held_and_no_more(numbers: list[int], limit: int) -> None:
    seen = SeenEvents(limit)
    seen.add([("u", str(number)) for number in numbers])
    newest = list(dict.fromkeys(reversed(numbers)))[:limit]
    assert len(seen) == len(newest)
    assert all(("u", str(number)) in seen for number in newest)
