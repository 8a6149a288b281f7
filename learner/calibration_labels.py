"""From outcomes to what calibration learns: each shown item once, clicked or passed over.

A click is told at once, and that nobody clicked when the window ends. Whoever learns each as it is
told sees, at a beginning or after any rise, clicks without what was passed over beside them. So a
click waits until something shown as late as it was passed over. Memory is bounded: of too many, the
oldest is learnt at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from stream.events import Outcome, WaitingClick

MOST_WAITING = 10_000


class Shown(NamedTuple):
    """A shown item, and whether it was clicked."""

    surface: str
    score: float
    place: int
    clicked: bool


class Labels:
    """Puts outcomes in the order of their showing, as far as that is known.

    Examples
    --------
    >>> def told(ms, **more):
    ...     return Outcome(recommendation_id="r", user_id="u", item_id="i", place=1, places=1,
    ...                    surface="home", score=0.5, shown_ms=ms, **more)
    >>> labels = Labels()
    >>> list(labels.take([told(7, clicked_ms=8)]))
    []
    >>> [one.clicked for one in labels.take([told(9, final=True)])]
    [True, False]
    """

    def __init__(self, waiting: Iterable[WaitingClick] = ()) -> None:
        self._waiting = [(one.shown_ms, n, one) for n, one in enumerate(waiting)]
        heapq.heapify(self._waiting)
        self._count = len(self._waiting)
        self._known_ms = 0

    @property
    def waiting(self) -> tuple[WaitingClick, ...]:
        """The clicks that wait, oldest first."""
        return tuple(one for _, _, one in sorted(self._waiting))

    def take(self, outcomes: Iterable[Outcome]) -> Iterator[Shown]:
        """Take outcomes as they are told; yields what can be learnt."""
        for told in outcomes:
            clicked = label(told)
            if clicked is None:
                continue
            if clicked:
                one = WaitingClick(told.shown_ms, head_of(told), told.score, told.place)
                self._count += 1
                heapq.heappush(self._waiting, (told.shown_ms, self._count, one))
                if len(self._waiting) > MOST_WAITING:
                    yield self._oldest()
            else:
                self._known_ms = max(self._known_ms, told.shown_ms)
            while self._waiting and self._waiting[0][0] <= self._known_ms:
                yield self._oldest()
            if not clicked:
                yield Shown(head_of(told), told.score, told.place, clicked=False)

    def _oldest(self) -> Shown:
        one = heapq.heappop(self._waiting)[2]
        return Shown(one.surface, one.score, one.place, clicked=True)


def label(told: Outcome) -> bool | None:
    """Whether a shown item was clicked; `None` where that was told before."""
    if not told.taken:
        return False if told.final else None
    signs = (told.clicked_ms, told.carted_ms)
    first = signs == (None, None) if told.final else None in signs
    return True if first else None


def head_of(told: Outcome) -> str:
    """Which weights an outcome belongs to: scores of other variants are other scores.

    >>> head_of(Outcome(recommendation_id="r", user_id="u", item_id="i", place=1, places=1,
    ...                 surface="home", score=0.5, shown_ms=0, variant="popularity"))
    'home:popularity'
    """
    return told.surface if told.variant == "model" else f"{told.surface}:{told.variant}"
