"""From a micro-batch of requests and user features to lists with reasons. Pure: no Kafka, no store.

Legend: `B` requests, `K` candidates, `P` items of a list, `T` steps of a history.

The time of a shop is the time of its events. A recorded log that is replayed today has events of
years ago; if popularity and pauses were measured against the wall clock, everything in it would be
stale alike. So "now" is the newest event time known: of the users answered so far and of the model
version in use, never ahead of the wall clock. In a live shop that is the wall clock, less the
time since anybody did anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from features.store import UserFeatures
from serving.ask import Ask
from serving.cache import ListCache
from serving.config import ServingConfig
from serving.diversity import Diversity, diversify_many
from serving.explore import Explorer, NewItems, scores_of
from serving.fallback import answer_path, fill_rows
from serving.index import ItemIndex
from serving.ranker import NOWHERE, Bools, Floats, Ranker, Rows
from serving.reasons import Newness
from serving.same_product import Alike
from serving.sponsored import Sponsored
from serving.telling import Items, Speaks, Teller
from stream.clock import Clock
from stream.events import (
    KINDS,
    AnswerPath,
    Kind,
    Recommendation,
    Step,
)
from stream.metrics import EXPLORED_PLACES
from stream.variants import CONTROL

_NOTHING: tuple[Rows, Floats] = (np.empty(0, np.int32), np.empty(0, np.float32))
"""What stands where all places are for sale, before any of them is sold."""

_KIND_OF: dict[str, Kind] = {kind: kind for kind in KINDS}


class Recommender:
    """Makes lists with the ranker that is in use; `ranker` may be replaced between two batches."""

    def __init__(
        self,
        index: ItemIndex,
        ranker: Ranker,
        config: ServingConfig,
        clock: Clock,
        speaker: Speaks | None = None,
    ) -> None:
        self.index = index
        self.ranker = ranker
        self._config = config
        self._clock = clock
        self._teller = Teller(index, config, clock, speaker)
        self.sponsored: Sponsored | None = None
        self._newest_ms = 0
        self._alike = Alike(index.catalog)
        seconds = config.cache_s
        self._cache = ListCache(seconds, config.cache_lists, clock) if seconds else None
        self._explorer, self._new_items = Explorer(config.explore_share), NewItems(index.catalog)

    def answer_many(
        self, asks: Sequence[Ask], features: Sequence[UserFeatures | None]
    ) -> list[Recommendation]:
        """Answer a micro-batch: one list per ask, in the same order; equal ones from the cache.

        Lists with ads are always made: each show has its price.
        """
        if self._cache is None or self.sponsored is not None:
            return self._make_many(asks, features)
        version = self.index.catalog.version
        return self._cache.through(asks, features, self.ranker, version, self._make_many)

    def _make_many(
        self, asks: Sequence[Ask], features: Sequence[UserFeatures | None]
    ) -> list[Recommendation]:
        """Make lists.

        1. histories from the features, the item that the user looks at now as their last step;
        2. candidates ranked for all at once, among the available items that pass the filters;
        3. hidden items dropped, near duplicates and likeness spread out, a new item tried out;
        4. short lists filled, reasons given.
        """
        offered = self.index.offered
        version = self.ranker.version
        known = [user if ask.personal else None for ask, user in zip(asks, features, strict=True)]
        paths = [answer_path(offered=offered, version=version, features=user) for user in known]
        if offered == 0 or not asks:
            return [
                self._answer(ask, (), path, user)
                for ask, path, user in zip(asks, paths, features, strict=True)
            ]

        now_ms = self.event_time_ms(features)
        past = [
            _history(user, ask.context_item, now_ms)
            for ask, user in zip(asks, features, strict=True)
        ]
        histories = [one if ask.personal else [] for ask, one in zip(asks, past, strict=True)]

        available = self.index.catalog.available
        masks = [self.index.mask(ask.filters, ask.kind) for ask in asks]
        hidden = [
            self._hidden(ask, history, now_ms) for ask, history in zip(asks, past, strict=True)
        ]
        wanted_B = [ask.k for ask in asks]
        pool = max(self._config.pool, *wanted_B) + max(len(rows) for rows in hidden)
        ranked = self.ranker.rank_many(
            histories,
            now_ms,
            min(pool, len(available)),
            available,
            masks,
            seen=[user.seen if user else b"" for user in known],
        )

        rows_BK, scores_BK = _without(hidden, ranked.rows_BK, ranked.scores_BK)
        # An answer must not depend on its neighbours: a batch that is repeated is cut otherwise.
        pool_B1 = np.maximum(np.array(wanted_B), self._config.pool)[:, None]
        rows_BK = np.where(np.arange(rows_BK.shape[1]) < pool_B1, rows_BK, NOWHERE)
        rows_BP, scores_BP = diversify_many(
            rows_BK,
            scores_BK,
            self.index.catalog.vectors,
            wanted_B=wanted_B,
            how=self._diversity(),
        )

        new_N = self._new_rows()
        taken_N = self.ranker.taken(new_N)
        lists: list[tuple[Rows, Floats]] = []
        for row, ask in enumerate(asks):
            if ask.kind == "ad":
                lists.append(_NOTHING)
                continue
            best_P = rows_BP[row][rows_BP[row] != NOWHERE]
            rows_P = self._explorer.place(
                best_P, rows_BK[row], new_N, taken_N, ask.recommendation_id
            )
            scores_P = scores_BP[row][: len(rows_P)]
            if rows_P is not best_P:
                EXPLORED_PLACES.inc(int((~np.isin(rows_P, best_P)).sum()))
                scores_P = scores_of(rows_P, rows_BK[row], scores_BK[row])
            if len(rows_P) < ask.k:
                rows_P = fill_rows(rows_P, ask.k, _open_rows(available, masks[row], hidden[row]))
                scores_P = _fill_scores(scores_P, len(rows_P))
            lists.append((rows_P, scores_P))
        made = self._teller.items(lists, histories, known, self.ranker)
        if self.sponsored is not None:
            made = self.sponsored.into(asks, made, histories, self.ranker, now_ms)
        return [
            self._answer(ask, items, path, user)
            for ask, items, path, user in zip(asks, made, paths, features, strict=True)
        ]

    def _diversity(self) -> Diversity:
        config = self._config
        apart = config.one_of_a_product or config.category_cap
        return Diversity(
            config.mmr_lambda,
            config.near_duplicate,
            self._alike.codes() if apart else None,
            config.category_cap,
            config.one_of_a_product,
        )

    def answer_plainly(self, ask: Ask, user: UserFeatures | None) -> Recommendation:
        """Answer without the ranker: the newest items that pass the filters."""
        offered = self.index.offered
        path = answer_path(offered=offered, version=None, features=user)
        open_rows = _open_rows(
            self.index.catalog.available,
            self.index.mask(ask.filters, ask.kind),
            self._hidden(ask, [], 0),
        )
        rows_P, scores_P = _NOTHING
        if ask.kind != "ad":
            rows_P = fill_rows(rows_P, ask.k, open_rows)
            scores_P = _fill_scores(scores_P, len(rows_P))
        [items] = self._teller.items([(rows_P, scores_P)], [[]], [user], self.ranker)
        plain = self._answer(ask, items, path, user)
        return msgspec.structs.replace(plain, model_version=None)

    def scores_of(
        self, ask: Ask, user: UserFeatures | None, rows_C: Rows
    ) -> tuple[Floats, Floats | None]:
        """What the model makes of some rows, for nobody and for a user; `nan` where nothing.

        A user without a past has no scores of their own.
        """
        now_ms = self.event_time_ms([user])
        histories = [[], _history(user, ask.context_item, now_ms)]
        if not histories[-1]:
            histories.pop()
        allowed = np.zeros(len(self.index.catalog), np.bool_)
        allowed[rows_C] = True
        seen = [b"", user.seen if user else b""][: len(histories)]
        ranked = self.ranker.rank_many(
            histories, now_ms, len(rows_C), allowed, [None] * len(histories), seen=seen
        )
        place = np.full(len(allowed), -1, np.int64)
        place[rows_C] = np.arange(len(rows_C))
        made = []
        for rows_K, scores_K in zip(ranked.rows_BK, ranked.scores_BK, strict=True):
            scores = np.full(len(rows_C), np.nan, np.float32)
            real = (rows_K != NOWHERE) & np.isfinite(scores_K)
            scores[place[rows_K[real]]] = scores_K[real]
            made.append(scores)
        return made[0], made[1] if len(made) > 1 else None

    def as_dealt(self, ask: Ask) -> Ask:
        """An ask as its user's variant has it answered; without a test, as it is."""
        return ask

    def variant_of(self, user_id: str) -> str:
        """The variant that a user's lists are of; without a test there is one."""
        del user_id
        return CONTROL

    def told(
        self, ask: Ask, rows_P: Rows, scores_P: Floats, user: UserFeatures | None
    ) -> Recommendation:
        """An answer of rows that were chosen elsewhere, with reasons."""
        known = user if ask.personal else None
        path = answer_path(offered=self.index.offered, version=self.ranker.version, features=known)
        page = ask.context_item if ask.personal else None
        history = _history(known, page, self.event_time_ms([user]))
        [items] = self._teller.items([(rows_P, scores_P)], [history], [known], self.ranker)
        return self._answer(ask, items, path, user)

    def _new_rows(self) -> Rows:
        config = self._config
        if not config.explore_share:
            return np.empty(0, np.int32)
        newness = Newness.of(self.index, self._clock.now_ms(), config.new_item_s)
        rows_N = self._new_items.rows(newness.from_ms)
        return rows_N[self.index.catalog.available[rows_N]]

    def event_time_ms(self, features: Sequence[UserFeatures | None]) -> int:
        """The newest event time known, never ahead of the wall clock; see the module's head."""
        wall_ms = self._clock.now_ms()
        seen = [user.recent_ts_ms[-1] for user in features if user and user.recent_ts_ms]
        newest = max([self._newest_ms, self.ranker.newest_ms, *seen])
        self._newest_ms = min(newest, wall_ms)
        return self._newest_ms or wall_ms

    def _hidden(self, ask: Ask, history: Sequence[Step], now_ms: int) -> Rows:
        """The rows that this user must not be shown."""
        hide = {ask.context_item} if ask.context_item else set()
        seen_ms, bought_ms = self._config.hide_seen_s * 1000, self._config.hide_bought_s * 1000
        if seen_ms or bought_ms:
            for step in history:
                limit_ms = bought_ms if step.kind in {"purchase", "review"} else seen_ms
                if limit_ms and now_ms - step.ts_ms <= limit_ms:
                    hide.add(step.item_id)
        rows = self.index.catalog.rows(hide)
        known: Rows = rows[rows != NOWHERE]
        return known

    def _answer(
        self,
        ask: Ask,
        items: Items,
        path: AnswerPath,
        user: UserFeatures | None,
    ) -> Recommendation:
        return Recommendation(
            recommendation_id=ask.recommendation_id,
            request_id=ask.request_id,
            user_id=ask.user_id,
            ts_ms=self._clock.now_ms(),
            items=items,
            path=path,
            model_version=self.ranker.version,
            trigger="request" if ask.request_id is not None else "event",
            surface=ask.surface,
            variant=self.variant_of(ask.user_id),
            seen_event_id=(user.last_event_id or None) if user else None,
        )


def _history(user: UserFeatures | None, context_item: str | None, now_ms: int) -> list[Step]:
    """A user's past, oldest first, ending in the item on the page that asks."""
    history: list[Step] = []
    if user is not None:
        history = [
            Step(item_id, _kind(kind), ts_ms, rating or None)
            for item_id, kind, ts_ms, rating in zip(
                user.recent_items,
                user.recent_kinds,
                user.recent_ts_ms,
                user.recent_ratings,
                strict=False,
            )
        ]
    if context_item is not None and (not history or history[-1].item_id != context_item):
        history.append(Step(context_item, "view", now_ms))
    return history


def _kind(name: str) -> Kind:
    """A kind as the store holds it; one from a newer profile counts as a view."""
    return _KIND_OF.get(name, "view")


def _without(hidden: Sequence[Rows], rows_BK: Rows, scores_BK: Floats) -> tuple[Rows, Floats]:
    """Replace each user's hidden rows by padding."""
    if not any(len(rows) for rows in hidden):
        return rows_BK, scores_BK
    rows_BK = rows_BK.copy()
    for row, rows in enumerate(hidden):
        if len(rows):
            rows_BK[row][np.isin(rows_BK[row], rows)] = NOWHERE
    keep_first = np.argsort(rows_BK == NOWHERE, axis=1, kind="stable")
    return (
        np.take_along_axis(rows_BK, keep_first, axis=1),
        np.take_along_axis(scores_BK, keep_first, axis=1),
    )


def _open_rows(available: Bools, mask: Bools | None, hidden: Rows) -> Bools:
    free = available.copy() if mask is None else available & mask
    free[hidden] = False
    return free


def _fill_scores(scores_P: Floats, length: int) -> Floats:
    """Filled items take the last score: nothing is known that would tell them apart."""
    last = scores_P[-1] if len(scores_P) else 0.0
    return np.concatenate([scores_P, np.full(length - len(scores_P), last, np.float32)])
