"""What a ranked model is: it ranks the true item of each event, and only then learns it.

Legend: ``B`` events of a micro-batch, ``I`` items, ``N`` events of a log, ``T`` steps of a history.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

MICRO_BATCH = 256
"""Events that are ranked together before any of them is learnt. Smaller is fresher and slower."""

FloatN = NDArray[np.float64]


class Events(NamedTuple):
    """Columns of a time-ordered log; row n of each is one event.

    Codes count from 0. Where the log has no sessions, `session` is `user`. Events of equal time
    keep the log's order.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    kind: NDArray[np.int8]
    ts_ms: NDArray[np.int64]
    session: NDArray[np.int32]

    @property
    def n_events(self) -> int:
        """How many events there are; ``len`` of a named tuple counts its columns."""
        return int(self.item.size)

    def between(self, start: int, stop: int) -> Events:
        """Events start to stop, stop not included, as views."""
        part = slice(start, stop)
        return Events(
            self.user[part], self.item[part], self.kind[part], self.ts_ms[part], self.session[part]
        )


class Baseline(Protocol):
    """A model that is judged prequentially: rank a micro-batch, then learn it."""

    name: str

    def rank(self, batch: Events) -> FloatN:
        """Rank each event's true item among all items known before the micro-batch, (B,).

        1 is the top; equal scores share the middle of their ranks; ``inf`` is a miss: the item
        isn't known yet, or is taken out of the ranking.
        """

    def learn(self, batch: Events) -> None:
        """Learn the events of a micro-batch, in their order."""


def micro_batches(
    events: Events,
    size: int = MICRO_BATCH,
    *,
    start: int = 0,
    stop: int | None = None,
    instants_whole: bool = False,
) -> Iterator[tuple[int, int]]:
    """Cut a log into micro-batches: pairs of first and last + 1.

    Parameters
    ----------
    events
        The log.
    size
        Events of one batch.
    start, stop
        The part of the log to cut.
    instants_whole
        Keep events of equal time in one batch, which then may be larger. For logs whose times are
        whole days: the order inside a day means nothing there, so no event of a day may be ranked
        with knowledge of another one.

    Examples
    --------
    >>> days = np.array([1, 1, 2, 2, 2])
    >>> log = Events(days, days, days, ts_ms=days, session=days)
    >>> list(micro_batches(log, 3)), list(micro_batches(log, 3, instants_whole=True))
    ([(0, 3), (3, 5)], [(0, 5)])
    """
    end = events.n_events if stop is None else stop
    first = start
    while first < end:
        last = min(first + size, end)
        if instants_whole:
            of_last = np.searchsorted(events.ts_ms[:end], events.ts_ms[last - 1], side="right")
            last = int(of_last)
        yield first, last
        first = last


class Played(NamedTuple):
    """What playing a log to a model gave."""

    rank: FloatN
    """Ranks of the streamed events, in order, (N,)."""
    history_s: float
    """Seconds to learn the history."""
    rank_s: float
    """Seconds to rank the streamed events."""
    learn_s: float
    """Seconds to learn the streamed events."""


def play(
    model: Baseline,
    events: Events,
    *,
    history: float = 0.7,
    batch: int = MICRO_BATCH,
    stream_max: int | None = None,
    instants_whole: bool = False,
) -> Played:
    """Learn the first part of a log, then rank and learn the rest, micro-batch by micro-batch.

    Parameters
    ----------
    model
        A fresh model.
    events
        The log, in order of time.
    history
        The share of the log that is learnt without being ranked (in micro-batches as well).
    batch
        Events of a micro-batch.
    stream_max
        Stop after so many streamed events; the split between history and stream stays where it is.
    instants_whole
        See `micro_batches`.
    """
    split = int(events.n_events * history)
    stop = events.n_events if stream_max is None else min(events.n_events, split + stream_max)
    if instants_whole and 0 < split < events.n_events:
        split = int(np.searchsorted(events.ts_ms, events.ts_ms[split], side="left"))
    began = time.perf_counter()
    for a, b in micro_batches(events, batch, stop=split, instants_whole=instants_whole):
        model.learn(events.between(a, b))
    history_s = time.perf_counter() - began
    ranks: list[FloatN] = []
    rank_s = learn_s = 0.0
    for a, b in micro_batches(events, batch, start=split, stop=stop, instants_whole=instants_whole):
        began = time.perf_counter()
        ranks.append(model.rank(events.between(a, b)))
        ranked = time.perf_counter()
        model.learn(events.between(a, b))
        rank_s += ranked - began
        learn_s += time.perf_counter() - ranked
    return Played(np.concatenate([np.empty(0), *ranks]), history_s, rank_s, learn_s)
