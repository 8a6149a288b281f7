"""Who answers an ask: the desk, its shop's search, or whoever makes its shop's lists. Pure.

What fails on us costs nobody else their answer, nor the process its life: it would find the same
request again after every restart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from features.store import UserFeatures
from serving.answers.desk import Desk, Planned
from serving.ask import Ask
from serving.recommend import Recommender
from serving.search.answers import SearchAnswers
from stream.clock import Clock
from stream.events import AnswerPath, Recommendation
from stream.outgoing import Outgoing

_log = logging.getLogger(__name__)


class Dispatch:
    """Answers asks of all shops.

    Parameters
    ----------
    recommenders
        Make the lists of each shop, by its tenant.
    searches
        Answer requests with a query, by tenant; where there are none, they get lists.
    desk
        Answers requests with a question; where there is none, they get lists.
    """

    def __init__(
        self,
        recommenders: Mapping[str, Recommender],
        searches: Mapping[str, SearchAnswers],
        desk: Desk | None,
        clock: Clock,
    ) -> None:
        self._recommenders = recommenders
        self._searches = searches
        self._desk = desk
        self._clock = clock

    def answer_many(
        self, asks: Sequence[Ask], features: Sequence[UserFeatures | None]
    ) -> list[Recommendation]:
        """Answer asks, the lists of each shop together; in the order in which they came."""
        desk = self._desk
        if desk is not None:
            desk.begin()
        wanted = list(asks)  # for a question that brings a list: that list
        planned: dict[int, Planned] = {}
        made: dict[int, Recommendation] = {}
        of: dict[str, list[int]] = {}
        for place, ask in enumerate(asks):
            if desk is not None and desk.answers(ask):
                plan = self._plan(desk, ask)
                if plan is None or plan.ask is None:
                    made[place] = self._told(desk, ask, plan)
                    continue
                planned[place], wanted[place] = plan, plan.ask
            searches = self._searches.get(ask.tenant)
            if searches is not None and searches.answers(wanted[place]):
                made[place] = self._search(searches, wanted[place], features[place])
            else:
                of.setdefault(ask.tenant, []).append(place)
        for places in of.values():
            some = self._recommend([wanted[n] for n in places], [features[n] for n in places])
            made.update(zip(places, some, strict=True))
        if desk is not None:
            for place, plan in planned.items():
                made[place] = self._complete(desk, asks[place], plan, made[place])
        return [made[place] for place in range(len(asks))]

    def empty(self, ask: Ask, path: AnswerPath) -> Recommendation:
        """An answer without a list, made without a model."""
        return Recommendation(
            recommendation_id=ask.recommendation_id,
            request_id=ask.request_id,
            user_id=ask.user_id,
            ts_ms=self._clock.now_ms(),
            items=(),
            path=path,
            model_version=None,
            surface=ask.surface,
            variant=self._recommenders[ask.tenant].variant_of(ask.user_id),
        )

    def said(self) -> tuple[list[Outgoing], list[Outgoing]]:
        """What follows from the questions of the last asks, for `conversations`, `hand-overs`."""
        if self._desk is None:
            return [], []
        return self._desk.conversation_records(), self._desk.hand_over_records()

    def sent(self) -> None:
        """Take note that the last answers are out."""
        if self._desk is not None:
            self._desk.sent()

    def forget(self, covers: Callable[[str, int], bool]) -> None:
        """Drop what is remembered of users who are to be forgotten."""
        if self._desk is not None:
            self._desk.forget(covers)
        for recommender in self._recommenders.values():
            if recommender.sponsored is not None:
                recommender.sponsored.forget(covers)

    def _plan(self, desk: Desk, ask: Ask) -> Planned | None:
        """Answer a question; one that fails on us costs nobody else their answer."""
        try:
            return desk.plan(ask, self._clock.now_ms())
        except Exception:
            _log.exception("the question %s failed", ask.recommendation_id)
            return None

    def _complete(
        self, desk: Desk, ask: Ask, plan: Planned, made: Recommendation
    ) -> Recommendation:
        """Put answer and list together; where that fails on us, there is neither."""
        try:
            return desk.complete(ask, plan, made)
        except Exception:
            _log.exception("the list of the question %s failed", ask.recommendation_id)
            return self._told(desk, ask, None)

    def _told(self, desk: Desk, ask: Ask, plan: Planned | None) -> Recommendation:
        """An answer without a list."""
        answer = desk.unanswered() if plan is None else plan.reply.answer
        return msgspec.structs.replace(self.empty(ask, "answer"), answer=answer)

    def _recommend(
        self, asks: list[Ask], features: list[UserFeatures | None]
    ) -> list[Recommendation]:
        """Answer all of one shop at once; if that fails, one by one, and what fails alone plainly.

        So a request on which a model breaks down costs neither its neighbours their lists nor the
        process its life: it would find the same request again after every restart.
        """
        recommender = self._recommenders[asks[0].tenant]
        try:
            return recommender.answer_many(asks, features)
        except Exception as error:
            if len(asks) == 1:
                _log.exception(
                    "model version %s failed on %s: answered without it",
                    recommender.ranker.version,
                    asks[0].recommendation_id,
                )
                return [self._plainly(asks[0], features[0])]
            _log.error("a micro-batch of %d failed (%s): answering one by one", len(asks), error)
        return [
            answer
            for ask, user in zip(asks, features, strict=True)
            for answer in self._recommend([ask], [user])
        ]

    def _search(
        self, searches: SearchAnswers, ask: Ask, user: UserFeatures | None
    ) -> Recommendation:
        """Answer a search; one that fails on us is found nothing for, and costs nobody else."""
        try:
            return searches.answer(ask, user)
        except Exception:
            _log.exception("the search %s failed: nothing is found", ask.recommendation_id)
            return self.empty(ask, "no_model")

    def _plainly(self, ask: Ask, user: UserFeatures | None) -> Recommendation:
        """Answer without a model; where even that fails, with an empty list: it is an answer."""
        try:
            return self._recommenders[ask.tenant].answer_plainly(ask, user)
        except Exception:
            _log.exception("no list for %s: an empty one is sent", ask.recommendation_id)
            return self.empty(ask, "no_model")
