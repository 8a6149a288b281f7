"""Pushes: the first at once, the last never lost, memory bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.push import Place, PushDebounce
from stream.clock import ManualClock
from tests.unit.serving.shop import example


def offered(debounce: PushDebounce, user_id: str, offset: int, partition: int = 0) -> list[str]:
    place = Place(partition, offset)
    debounce.offer([(place, example(user_id, f"{user_id}{offset}", offset))])
    return [push.example.event_id for push in debounce.due()]


def ids(debounce: PushDebounce) -> list[str]:
    return [push.example.event_id for push in debounce.due()]


def test_a_hurried_user_gets_one_push_per_window_and_the_last_event_in_it() -> None:
    clock = ManualClock()
    debounce = PushDebounce(2.0, 10, clock)
    assert offered(debounce, "a", 0) == ["a0"]
    for offset in (1, 2, 3):
        assert offered(debounce, "a", offset) == []
    assert debounce.next_due_s() == 2.0
    assert debounce.held() == {0: 1}, "nothing from the first unanswered event on is committed"
    clock.advance(2.0)
    assert ids(debounce) == ["a3"]
    assert (debounce.held(), debounce.next_due_s()) == ({}, None)
    assert offered(debounce, "a", 4) == [], "the trailing push opened a window of its own"
    clock.advance(2.0)
    assert ids(debounce) == ["a4"]
    clock.advance(10.0)
    assert offered(debounce, "a", 5) == ["a5"], "a calm user is answered at once again"


def test_users_do_not_wait_for_each_other() -> None:
    debounce = PushDebounce(2.0, 10, ManualClock())
    assert offered(debounce, "a", 0) == ["a0"]
    assert offered(debounce, "b", 1) == ["b1"]


def test_without_a_window_every_event_is_answered() -> None:
    debounce = PushDebounce(0.0, 10, ManualClock())
    assert [offered(debounce, "a", offset) for offset in (0, 1)] == [["a0"], ["a1"]]


def test_a_revoked_partition_takes_its_waiting_pushes_along() -> None:
    clock = ManualClock()
    debounce = PushDebounce(2.0, 10, clock)
    for user_id, partition in (("a", 0), ("b", 1)):
        offered(debounce, user_id, 0, partition)
        offered(debounce, user_id, 1, partition)
    debounce.drop({0})
    assert debounce.held() == {1: 1}
    clock.advance(2.0)
    assert ids(debounce) == ["b1"]


def test_when_memory_is_full_the_oldest_waiting_push_goes_out_early() -> None:
    debounce = PushDebounce(60.0, 2, ManualClock())
    offered(debounce, "a", 0)
    assert offered(debounce, "a", 1) == []
    assert offered(debounce, "b", 2) == ["b2"]
    assert sorted(offered(debounce, "c", 3)) == ["a1", "c3"]
    assert debounce.held() == {}


@given(
    steps=st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 3)), max_size=60),
    max_users=st.integers(1, 5),
)
def test_every_users_last_event_is_answered(steps: list[tuple[str, float]], max_users: int) -> None:
    clock = ManualClock()
    debounce = PushDebounce(2.0, max_users, clock)
    newest_answered: dict[str, int] = {}
    last: dict[str, int] = {}
    for offset, (user_id, pause_s) in enumerate([*steps, ("", 2.0)]):
        clock.advance(pause_s)
        if user_id:
            debounce.offer([(Place(0, offset), example(user_id, str(offset), offset))])
            last[user_id] = offset
        for push in debounce.due():
            assert newest_answered.get(push.example.user_id, -1) < push.example.offset
            newest_answered[push.example.user_id] = push.example.offset
        unanswered = {u: at for u, at in last.items() if newest_answered.get(u, -1) < at}
        assert (not unanswered) == (not debounce.held())
        assert all(debounce.held()[0] <= at for at in unanswered.values())
    assert newest_answered == last
