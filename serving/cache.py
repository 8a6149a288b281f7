"""Lists that were made a moment ago, for who asks the same again before anything has changed.

A list is given again to an equal request as long as its user's row, the catalogue and the model
version are what they were, and for some seconds at most: popularity moves on, and new items get
their turn. Users of whom nothing is known share their lists. Rows are compared whole, so that an
event, a reading or an opt-out that reached the online store ends a list at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from features.store import UserFeatures
from serving.ask import Ask
from serving.ranker import Ranker
from stream.clock import Clock
from stream.events import Recommendation
from stream.metrics import LISTS_REUSED

Make = Callable[[Sequence[Ask], Sequence[UserFeatures | None]], list[Recommendation]]


class _Entry(NamedTuple):
    made_s: float
    user: UserFeatures | None
    ranker: Ranker
    catalogue: int
    answer: Recommendation


class ListCache:
    """The newest lists, by what was asked.

    Parameters
    ----------
    seconds
        For how long a list may be given again.
    most
        Lists that are kept: of a list of 10 each takes some 5 kB.
    """

    def __init__(self, seconds: float, most: int, clock: Clock) -> None:
        self._seconds, self._most, self._clock = seconds, most, clock
        self._entries: dict[tuple[object, ...], _Entry] = {}

    def __len__(self) -> int:
        """How many lists are kept."""
        return len(self._entries)

    def through(
        self,
        asks: Sequence[Ask],
        users: Sequence[UserFeatures | None],
        ranker: Ranker,
        catalogue: int,
        make: Make,
    ) -> list[Recommendation]:
        """Answer what is known, and make the rest; the answers are in the order of the asks.

        Parameters
        ----------
        catalogue
            The version of the catalogue.
        make
            Makes lists of asks and users.
        """
        now_s = self._clock.monotonic_s()
        self._expire(now_s)
        answers: list[Recommendation | None] = []
        for ask, user in zip(asks, users, strict=True):
            entry = self._entries.get(_key(ask, user))
            current = (
                entry is not None
                and entry.ranker is ranker
                and entry.catalogue == catalogue
                and entry.user == user
            )
            answers.append(self._again(entry.answer, ask) if current and entry else None)
        missing = [at for at, answer in enumerate(answers) if answer is None]
        made = make([asks[at] for at in missing], [users[at] for at in missing])
        for at, answer in zip(missing, made, strict=True):
            answers[at] = answer
            key = _key(asks[at], users[at])
            self._entries.pop(key, None)  # the newest comes last
            self._entries[key] = _Entry(now_s, users[at], ranker, catalogue, answer)
        while len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]
        LISTS_REUSED.labels(outcome="reused").inc(len(asks) - len(missing))
        LISTS_REUSED.labels(outcome="made").inc(len(missing))
        return [answer for answer in answers if answer is not None]

    def _again(self, answer: Recommendation, ask: Ask) -> Recommendation:
        return replace(
            answer,
            recommendation_id=ask.recommendation_id,
            request_id=ask.request_id,
            user_id=ask.user_id,
            ts_ms=self._clock.now_ms(),
            trigger="request" if ask.request_id is not None else "event",
        )

    def _expire(self, now_s: float) -> None:
        while self._entries:
            oldest = next(iter(self._entries))
            if now_s - self._entries[oldest].made_s < self._seconds:
                return
            del self._entries[oldest]


def _key(ask: Ask, user: UserFeatures | None) -> tuple[object, ...]:
    """What makes two asks equal; users of whom nothing is known are one, within a shop."""
    who = ask.tenant if user is None else ask.user_id
    known = user is not None
    return (known, who, ask.k, ask.context_item, ask.filters, ask.surface, ask.personal)
