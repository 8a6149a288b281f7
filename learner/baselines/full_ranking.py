"""Rank the true item against every item that is known: no sampled negatives.

Sampled metrics don't even order models as the full ones do (Krichene & Rendle, KDD 2020), so a
baseline gives a score to each item, and the rank is counted over all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from learner.baselines.protocol import Events
from learner.baselines.rows import GrowingLists, LastItems

Scores = NDArray[np.float32]
"""Scores of a micro-batch, (B, I): single precision keeps 256 x 25,000 of them at 26 MB."""


class RankingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is ranked, and what a model may know when it ranks."""

    n_items: Annotated[int, Meta(gt=0, description="Rows of the catalogue, unseen ones included.")]
    mask_consumed: Annotated[
        bool,
        Meta(description="Take out what the user already had; for data without repeats only."),
    ] = False
    histories: Annotated[
        Literal["batch", "event", "instant"],
        Meta(
            description="Up to when a user's own history is known. `batch`: before the "
            "micro-batch, like all else; `event`: before the event, as in serving, where profiles "
            "are fresher than weights; `instant`: the events of an earlier time, for logs whose "
            "order within a time means nothing (cut micro-batches with `instants_whole`)."
        ),
    ] = "batch"
    history_length: Annotated[int, Meta(gt=0, description="Last items that speak for a user.")] = 10
    all_known: Annotated[
        bool,
        Meta(description="The whole catalogue is known at the start; else items come by events."),
    ] = False


def rank_targets(scores_BI: Scores, item_B: NDArray[np.int32]) -> NDArray[np.float64]:
    """Rank of each row's target, (B,): 1 + the better ones + half of the other equal ones.

    A score of ``-inf`` takes an item out; a target that is out has rank ``inf``.

    Examples
    --------
    >>> scores = np.array([[3, 1, 1, 1], [0, -np.inf, 2, 5]], dtype=np.float32)
    >>> rank_targets(scores, np.array([2, 1]))
    array([ 3., inf])
    """
    own_B = scores_BI[np.arange(len(item_B)), item_B]
    better_B = np.count_nonzero(scores_BI > own_B[:, None], axis=1)
    equal_B = np.count_nonzero(scores_BI == own_B[:, None], axis=1)
    rank_B = 1 + better_B + (equal_B - 1) / 2
    return np.where(np.isneginf(own_B), np.inf, rank_B)


class FullRanking(ABC):
    """The frame of every baseline here: histories, known items and the count of the rank.

    Parameters
    ----------
    name
        The row of the table.
    config
        What is ranked, and with which knowledge.
    """

    def __init__(self, name: str, config: RankingConfig) -> None:
        self.name = name
        self.config = config
        self.last = LastItems(config.history_length)
        self.known = np.full(config.n_items, config.all_known)
        self._consumed = GrowingLists()

    @abstractmethod
    def score(self, batch: Events, history_BT: NDArray[np.int32]) -> Scores:
        """Score all items for each event, (B, I), from a fresh array and all finite.

        Of the batch, an event's own user, session and time may be read, never its item.
        """

    @abstractmethod
    def count(self, batch: Events, history_BT: NDArray[np.int32]) -> None:
        """Learn the events; histories are as of just before each of them."""

    def admit(self, rows: NDArray[np.int32]) -> None:
        """Make items known that nobody has touched yet: the shop announced them."""
        self.known[rows] = True

    def rank(self, batch: Events) -> NDArray[np.float64]:
        """Rank each event's item among the items known before the micro-batch."""
        scores_BI = self.score(batch, self.histories(self.last, batch.user, batch))
        if not self.known.all():
            scores_BI[:, ~self.known] = -np.inf
        if self.config.mask_consumed:
            self._mask_consumed(batch, scores_BI)
        return rank_targets(scores_BI, batch.item)

    def histories(
        self, last: LastItems, key_B: NDArray[np.int32], batch: Events
    ) -> NDArray[np.int32]:
        """What may be known of each event's user (or session) when it is ranked, (B, T)."""
        match self.config.histories:
            case "batch":
                return last.before(key_B)
            case "event":
                return last.before_each(key_B, batch.item)
            case "instant":
                return last.before_instant(key_B, batch.item, batch.ts_ms)

    def learn(self, batch: Events) -> None:
        """Learn the events of a micro-batch, in their order."""
        self.count(batch, self.last.before_each(batch.user, batch.item))
        self.last.append(batch.user, batch.item)
        self.known[batch.item] = True
        if self.config.mask_consumed:
            for user, item in zip(batch.user.tolist(), batch.item.tolist(), strict=True):
                self._consumed.add(user, item)

    def _mask_consumed(self, batch: Events, scores_BI: Scores) -> None:
        """Take out what each user had, up to when histories are known."""
        inside: dict[int, list[tuple[int, int]]] = {}
        columns = (batch.user.tolist(), batch.item.tolist(), batch.ts_ms.tolist())
        for b, (user, item, ts_ms) in enumerate(zip(*columns, strict=True)):
            scores_BI[b, self._consumed.get(user)] = -np.inf
            if self.config.histories == "batch":
                continue
            had = inside.setdefault(user, [])
            together = self.config.histories == "event"
            scores_BI[b, [one for one, at in had if together or at < ts_ms]] = -np.inf
            had.append((item, ts_ms))
