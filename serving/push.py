"""When a user's own event is answered with a fresh list, unasked.

The first event is answered at once. What follows within the debounce window is answered by one
push at its end, for the newest of those events; that push starts the next window. So a user in a
hurry gets one list per window, and the last list always knows the last event.

Memory is bounded by the number of users: the oldest waiting push goes out early when it is full.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stream.clock import Clock
from stream.events import Example
from stream.forget import Forgotten


class Place(NamedTuple):
    """Where an example came from: its partition and offset in `examples`."""

    partition: int
    offset: int


class Push(NamedTuple):
    """An example to answer now, and the first example that this answer stands for."""

    example: Example
    place: Place


class _Window(NamedTuple):
    end_s: float
    waiting: Push | None


class PushDebounce:
    """Decides which examples are answered, and when.

    Examples
    --------
    >>> from stream.clock import ManualClock
    >>> clock = ManualClock()
    >>> debounce = PushDebounce(window_s=2.0, max_users=10, clock=clock)
    >>> def seen(event_id, offset):
    ...     example = Example(event_id=event_id, user_id="ann", item_id="pot", kind="view", ts_ms=0,
    ...                       received_ms=0, partition=0, offset=offset, history=(), user_events=0)
    ...     debounce.offer([(Place(0, offset), example)])
    ...     return [push.example.event_id for push in debounce.due()]
    >>> seen("first", 0), seen("second", 1), seen("third", 2)
    (['first'], [], [])
    >>> debounce.held(), clock.advance(2.0)
    ({0: 1}, None)
    >>> [push.example.event_id for push in debounce.due()]
    ['third']
    """

    def __init__(self, window_s: float, max_users: int, clock: Clock) -> None:
        self._window_s = window_s
        self._max_users = max_users
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._ready: list[Push] = []

    def offer(self, examples: Iterable[tuple[Place, Example]]) -> None:
        """Take examples in; `due` says which of them are answered."""
        now_s = self._clock.monotonic_s()
        for place, example in examples:
            window = self._windows.get(example.user_id)
            if window is None or (window.end_s <= now_s and window.waiting is None):
                self._ready.append(Push(example, place))
                self._open(example.user_id, now_s)
            else:
                first = window.waiting.place if window.waiting else place
                self._windows[example.user_id] = _Window(window.end_s, Push(example, first))

    def due(self) -> list[Push]:
        """The pushes to send now; each is returned once."""
        now_s = self._clock.monotonic_s()
        # Windows are equally long and reopened at the end, so the dictionary is ordered by end.
        ended = []
        for user_id, window in self._windows.items():
            if window.end_s > now_s:
                break
            ended.append(user_id)
        for user_id in ended:
            window = self._windows.pop(user_id)
            if window.waiting is not None:
                self._ready.append(window.waiting)
                self._open(user_id, now_s)
        ready, self._ready = self._ready, []
        return ready

    def next_due_s(self) -> float | None:
        """Seconds until a waiting push is due; `None` if nobody waits."""
        for window in self._windows.values():
            if window.waiting is not None:
                return max(0.0, window.end_s - self._clock.monotonic_s())
        return None

    def held(self) -> dict[int, int]:
        """The first unanswered offset of each partition: what must not be committed yet."""
        first: dict[int, int] = {}
        for window in self._windows.values():
            if window.waiting is not None:
                place = window.waiting.place
                first[place.partition] = min(place.offset, first.get(place.partition, place.offset))
        return first

    def drop(self, partitions: set[int] | None) -> None:
        """Forget what waits from partitions that another worker reads from now on; `None`: all."""
        if partitions is None:
            self._windows.clear()
            self._ready.clear()
            return
        for user_id, window in list(self._windows.items()):
            if window.waiting is not None and window.waiting.place.partition in partitions:
                del self._windows[user_id]

    def forget(self, forgotten: Forgotten) -> None:
        """Drop what waits of users who are to be forgotten."""
        for user_id, window in list(self._windows.items()):
            waiting = window.waiting
            if waiting and forgotten.covers(user_id, waiting.example.received_ms):
                del self._windows[user_id]

    def _open(self, user_id: str, now_s: float) -> None:
        self._windows.pop(user_id, None)
        if len(self._windows) >= self._max_users:
            oldest = self._windows.pop(next(iter(self._windows)))
            if oldest.waiting is not None:
                self._ready.append(oldest.waiting)
        self._windows[user_id] = _Window(now_s + self._window_s, None)
