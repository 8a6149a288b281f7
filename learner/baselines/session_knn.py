"""Session kNN: what the most similar recent sessions held (VMIS-kNN), kept up to date by events.

Reference: B. Kersbergen, O. Sprangers, S. Schelter, "Serenade: Low-Latency Session-Based
Recommendation in e-Commerce at Scale", SIGMOD 2022, section 3 (VS-kNN's two steps over an index
from items to their most recent sessions; weights of the match as in the authors' server).
"""

from __future__ import annotations

from collections import deque
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from learner.baselines.full_ranking import FullRanking, RankingConfig, Scores
from learner.baselines.protocol import Events
from learner.baselines.rows import NONE, GrowingLists, LastItems

_FADE = 0.1
"""What each step back costs the newest shared item's weight; from the tenth on nothing is left."""


class SessionKnnConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of the neighbourhood."""

    recent: Annotated[
        int, Meta(gt=0, description="m: sessions kept per item, and looked at, newest first.")
    ] = 500
    neighbours: Annotated[
        int, Meta(gt=0, description="k: most similar of them that give items.")
    ] = 100
    length: Annotated[
        int, Meta(gt=0, lt=10, description="Last items of the running session that are compared.")
    ] = 9


class SessionKnn(FullRanking):
    """VMIS-kNN over all sessions so far, unfinished ones included, the running one left out.

    An item's score is the sum, over the nearest sessions that hold it, of similarity times the
    weight of the newest shared item times the item's inverse session frequency.

    A session without items yet is compared by its user's last ones. Where the log has no
    sessions, a session is all that a user ever did.
    """

    def __init__(self, config: RankingConfig, knn: SessionKnnConfig | None = None) -> None:
        super().__init__("session kNN", config)
        self.knn = knn or SessionKnnConfig()
        self._running = LastItems(self.knn.length)
        self._items_of = GrowingLists()
        self._sessions_of: dict[int, deque[int]] = {}
        self._holders: NDArray[np.float64] = np.zeros(config.n_items)
        self._newest: NDArray[np.int64] = np.zeros(1024, np.int64)
        self._sessions = 0
        self._clock = 0

    def score(self, batch: Events, history_BT: NDArray[np.int32]) -> Scores:
        """Find each running session's neighbours and sum their items."""
        running_BT = self.histories(self._running, batch.session, batch)
        width = min(running_BT.shape[1], history_BT.shape[1])
        begins_B = running_BT[:, 0] == NONE
        running_BT[begins_B, :width] = history_BT[begins_B, :width]
        scores_BI = np.zeros((batch.n_events, self.config.n_items), np.float32)
        rarity_I = np.log(max(1, self._sessions) / np.maximum(self._holders, 1.0))
        for b, session in enumerate(batch.session.tolist()):
            items, weights = self._neighbourhood(running_BT[b], session)
            if items.size:
                summed = np.bincount(items, weights, minlength=self.config.n_items)
                scores_BI[b] = summed * rarity_I
        return scores_BI

    def count(self, batch: Events, history_BT: NDArray[np.int32]) -> None:
        """Put each event into its session and its item's list of sessions."""
        self._running.append(batch.session, batch.item)
        largest = int(batch.session.max(initial=0))
        if largest >= self._newest.size:
            self._newest = np.concatenate([self._newest, np.zeros(2 * largest, np.int64)])
        for session, item in zip(batch.session.tolist(), batch.item.tolist(), strict=True):
            self._clock += 1
            self._sessions += self._newest[session] == 0
            self._newest[session] = self._clock
            if self._items_of.add(session, item):
                sessions = self._sessions_of.setdefault(item, deque(maxlen=self.knn.recent))
                sessions.append(session)
                self._holders[item] += 1

    def _neighbourhood(
        self, running_T: NDArray[np.int32], own: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Items of the nearest sessions with their weights; an item stands once per session."""
        items = list(dict.fromkeys(running_T[running_T != NONE].tolist()))
        found = [np.array(self._sessions_of.get(item, ()), np.int32) for item in items]
        sizes = [part.size for part in found]
        if not sum(sizes):
            return np.empty(0, np.int32), np.empty(0)
        # 1. Similarity: items of the running session fade linearly with their place.
        place = np.repeat(np.arange(len(items)), sizes)
        sessions, first, which = np.unique(
            np.concatenate(found), return_index=True, return_inverse=True
        )
        similarity = np.bincount(which, 1.0 - place / len(items))
        newest_shared = place[first]  # the parts run from the newest item to the oldest
        # 2. The most recent sessions, then the most similar of those; newer ones win ties.
        order = np.argsort(-self._newest[sessions], kind="stable")
        order = order[sessions[order] != own][: self.knn.recent]
        order = order[np.argsort(-similarity[order], kind="stable")][: self.knn.neighbours]
        # 3. Their items.
        weight = similarity[order] * (1.0 - _FADE * (newest_shared[order] + 1))
        lists = [self._items_of.get(session) for session in sessions[order].tolist()]
        if not lists:
            return np.empty(0, np.int32), np.empty(0)
        return np.concatenate(lists), np.repeat(weight, [part.size for part in lists])
