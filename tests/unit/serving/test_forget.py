"""What serving remembers of users for a while, and drops when they are to be forgotten."""

from __future__ import annotations

from serving.push import Place, PushDebounce
from serving.recent import Kept, RecentAnswers
from stream.clock import ManualClock
from stream.events import Example
from stream.forget import Forgotten


def leaving(user_id: str, before_ms: int = 100) -> Forgotten:
    forgotten = Forgotten()
    forgotten.add(user_id, before_ms, partition=0, offset=0)
    return forgotten


def test_answers_to_who_leaves_are_not_given_again() -> None:
    recent = RecentAnswers(window_s=60, max_bytes=10_000, clock=ManualClock(0))
    for user_id in ("ada", "bob"):
        recent.keep((user_id, "r1"), Kept("id", user_id.encode(), at_ms=0))
    held = recent.size
    recent.drop(leaving("ada"))
    assert recent.find(("ada", "r1")) is None
    assert recent.find(("bob", "r1")) is not None
    assert recent.size == held - Kept("id", b"ada", 0).size


def test_a_push_that_waits_for_who_leaves_is_not_sent() -> None:
    clock = ManualClock()
    debounce = PushDebounce(window_s=2.0, max_users=10, clock=clock)

    def event(user_id: str, offset: int, received_ms: int) -> tuple[Place, Example]:
        example = Example(
            event_id=f"{user_id}-{offset}",
            user_id=user_id,
            item_id="pot",
            kind="view",
            ts_ms=0,
            received_ms=received_ms,
            partition=0,
            offset=offset,
            history=(),
            user_events=0,
        )
        return Place(0, offset), example

    debounce.offer([event("ada", 0, 10), event("bob", 1, 10)])
    assert len(debounce.due()) == 2  # the first event of each is answered at once
    debounce.offer([event("ada", 2, 20), event("bob", 3, 20)])
    debounce.forget(leaving("ada"))
    assert debounce.held() == {0: 3}
    clock.advance(2.0)
    assert [push.example.event_id for push in debounce.due()] == ["bob-3"]
