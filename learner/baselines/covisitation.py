"""Co-visitation: what others went on to from the same items.

Two kinds of evidence. `NextItem` is the first-order Markov chain: how often an item came right
after the user's last one. `Window` looks at the last ten items and counts an item with each, in
either order, divided by both items' frequency (cosine; Sarwar et al., "Item-based collaborative
filtering recommendation algorithms", WWW 2001, for implicit feedback).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from learner.baselines.full_ranking import FullRanking, RankingConfig, Scores
from learner.baselines.protocol import Events
from learner.baselines.rows import NONE, PairCounts

History = NDArray[np.int32]


class Evidence(Protocol):
    """How much a history speaks for each item: zero or more."""

    def count(self, batch: Events, history_BT: History) -> None:
        """Learn the events; histories are as of just before each of them."""

    def weigh(self, history_BT: History) -> Scores:
        """Evidence for all items, (B, I), in a fresh array."""


class NextItem:
    """Share of the moves away from the last item that went to each item.

    Examples
    --------
    >>> evidence = NextItem(n_items=3)
    >>> def moved(a, b):
    ...     column = np.array([b])
    ...     evidence.count(Events(column, column, column, column, column), np.array([[a]]))
    >>> moved(0, 1); moved(0, 1); moved(0, 2); moved(0, 2)
    >>> evidence.weigh(np.array([[0], [1]])).tolist()
    [[0.0, 0.5, 0.5], [0.0, 0.0, 0.0]]
    """

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items
        self._pairs = PairCounts()
        self._moves: NDArray[np.float64] = np.zeros(n_items)

    def count(self, batch: Events, history_BT: History) -> None:
        """Count the move from the last item to the event's."""
        moved = history_BT[:, 0] != NONE
        last, item = history_BT[moved, 0], batch.item[moved]
        self._pairs.add(last, item)
        self._moves += np.bincount(last, minlength=self.n_items)

    def weigh(self, history_BT: History) -> Scores:
        """Transition probabilities, not smoothed."""
        scores_BI = np.zeros((len(history_BT), self.n_items), np.float32)
        for b, last in enumerate(history_BT[:, 0].tolist()):
            if last != NONE:
                item, times = self._pairs.row(last)
                scores_BI[b, item] = times / max(1.0, self._moves[last])
        return scores_BI


class Window:
    """Sum over the last items of the cosine between each and an item.

    Pairs of an item with itself don't count; an item that stands twice in the history speaks once.

    Examples
    --------
    >>> evidence = Window(n_items=3)
    >>> zero = np.zeros(1, np.int64)
    >>> evidence.count(Events(zero, zero, zero, zero, zero), np.array([[NONE]]))
    >>> evidence.count(Events(zero, zero + 1, zero, zero, zero), np.array([[0]]))
    >>> evidence.weigh(np.array([[0], [1], [2]])).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items
        self._pairs = PairCounts()
        self._times: NDArray[np.float64] = np.zeros(n_items)

    def count(self, batch: Events, history_BT: History) -> None:
        """Count each event's item with every other item of the window, both ways."""
        self._times += np.bincount(batch.item, minlength=self.n_items)
        item_BT = np.broadcast_to(batch.item[:, None], history_BT.shape)
        pair_BT = _distinct(history_BT) & (history_BT != item_BT)
        past, item = history_BT[pair_BT], item_BT[pair_BT]
        self._pairs.add(np.concatenate([past, item]), np.concatenate([item, past]))

    def weigh(self, history_BT: History) -> Scores:
        """Cosines, summed over the window."""
        scores_BI = np.zeros((len(history_BT), self.n_items), np.float32)
        scale_I = 1.0 / np.sqrt(np.maximum(self._times, 1.0))
        speaks_BT = _distinct(history_BT)
        for b, history in enumerate(history_BT):
            for past in history[speaks_BT[b]].tolist():
                item, together = self._pairs.row(past)
                scores_BI[b, item] += together * scale_I[item] * scale_I[past]
        return scores_BI


class CoVisitation(FullRanking):
    """Ranks by one kind of evidence alone: items without any share the last place."""

    def __init__(self, name: str, config: RankingConfig, evidence: Evidence) -> None:
        super().__init__(name, config)
        self.evidence = evidence

    def score(self, batch: Events, history_BT: History) -> Scores:
        """Weigh the histories' evidence."""
        return self.evidence.weigh(history_BT)

    def count(self, batch: Events, history_BT: History) -> None:
        """Hand the events to the evidence."""
        self.evidence.count(batch, history_BT)


def _distinct(history_BT: History) -> NDArray[np.bool_]:
    """Mark the newest place of each item in its history; padding is not marked."""
    distinct_BT: NDArray[np.bool_] = history_BT != NONE
    for t in range(1, history_BT.shape[1]):
        distinct_BT[:, t] &= (history_BT[:, :t] != history_BT[:, t : t + 1]).all(axis=1)
    return distinct_BT
