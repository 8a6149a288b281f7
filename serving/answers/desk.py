"""Requests with a question, answered for all shops: what each knows, and what users said lately."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from learner.answers.likeness import EncodesTokens
from learner.answers.wording import terms
from serving.answers.answering import Answering
from serving.answers.config import AnswersConfig
from serving.answers.conversations import ConversationBook
from serving.answers.knowledge import Knowledge, Limits
from serving.answers.phrasing import Phrasing
from serving.answers.reading import Reader
from serving.answers.replies import MOST_SHOWN, Question, Reply, Sureness
from serving.ask import HOME, SEARCH, Ask
from serving.index import ItemIndex
from serving.search import engine
from serving.search.answers import SearchAnswers
from serving.search.words import split
from stream.asked import Answer, HandOver
from stream.events import Filters, ItemVector, Recommendation
from stream.metrics import ANSWER_ROUTES, QUESTION_SECONDS
from stream.outgoing import Outgoing
from stream.tenants import told

MORE = 20
"""Items asked for beyond `k` where a brand is not wanted: some of the list is dropped."""

MOST_LISTED = 200

NAMED_SHARE = 0.6
"""Share of a text's words that an item's title must have to be what the text names."""


class Planned(NamedTuple):
    """A question's answer, and the list that it still needs, if any."""

    reply: Reply
    ask: Ask | None


class Desk:
    """Answers questions of all shops.

    Parameters
    ----------
    config
        How.
    encoder
        Gives the text encoder, or `None` while there is none: texts are read by words alone then.
    phrasing
        Words answers; `None` quotes.
    """

    def __init__(
        self,
        config: AnswersConfig,
        encoder: Callable[[], EncodesTokens | None] = lambda: None,
        phrasing: Phrasing | None = None,
    ) -> None:
        self._phrasing = phrasing
        self.config = config
        self.conversations = ConversationBook(config)
        self._encoder = encoder
        self._shops: dict[str, Answering] = {}
        self._hand_overs: list[HandOver] = []

    def open_shop(self, tenant: str, index: ItemIndex, searches: SearchAnswers | None) -> None:
        """Answer for a shop as well."""
        config = self.config
        limits = Limits(config.reviews_per_item, config.review_memory_mb << 20)
        knowledge = Knowledge(index, limits)
        named = None if searches is None else _Names(index, searches)
        sureness = Sureness(config.sure, config.sure_of_field, config.passages)
        self._shops[tenant] = Answering(knowledge, Reader(self._encoder), named, sureness)

    @property
    def knowledge(self) -> Mapping[str, Knowledge]:
        """What each shop knows, by its tenant."""
        return {tenant: answering.knowledge for tenant, answering in self._shops.items()}

    def follow(self, budget_s: float) -> int:
        """Take changes of the catalogues in, for a moment; says how many items still wait."""
        end_s = time.monotonic() + budget_s
        return sum(
            answering.knowledge.follow(max(end_s - time.monotonic(), 0.0))
            for answering in self._shops.values()
        )

    def answers(self, ask: Ask) -> bool:
        """Whether a request is a question."""
        return self.config.on and bool(ask.question and ask.question.strip())

    def begin(self) -> None:
        """Begin a micro-batch; one that is made again begins anew."""
        self.conversations.begin()
        self._hand_overs.clear()

    def plan(self, ask: Ask, now_ms: int) -> Planned:
        """Answer a question, but for its list."""
        started_s = time.perf_counter()
        dialogue = None
        if ask.conversation_id and ask.personal:  # Who has opted out leaves no state.
            dialogue = self.conversations.of(ask.user_id, ask.conversation_id, now_ms)
        question = Question(
            (ask.question or "").strip(),
            ask.user_id,
            now_ms,
            ask.recommendation_id,
            ask.request_id,
            ask.context_item,
            dialogue,
        )
        reply = self._shops[ask.tenant].reply(question)
        if self._phrasing is not None:
            reply = reply._replace(answer=self._phrasing.phrased(reply.answer))
        if reply.hand_over is not None:
            self._hand_overs.append(reply.hand_over)
        if reply.dialogue is not None:
            self.conversations.say(ask.user_id, reply.dialogue)
        ANSWER_ROUTES.labels(route=reply.answer.route).inc()
        QUESTION_SECONDS.observe(time.perf_counter() - started_s)
        if reply.search is None:
            return Planned(reply, None)
        more = MORE if reply.search.not_brands else 0
        listed = msgspec.structs.replace(
            ask,
            query=reply.search.query or None,
            filters=_both(ask.filters, reply.search.filters),
            k=min(ask.k + more, MOST_LISTED),
            suggest=False,
            surface=SEARCH if reply.search.query and ask.surface == HOME else ask.surface,
        )
        return Planned(reply, listed)

    def complete(self, ask: Ask, planned: Planned, made: Recommendation) -> Recommendation:
        """Put answer and list together; the conversation is about what was shown."""
        search = planned.reply.search
        places: Sequence[int] = range(len(made.items))
        if search is not None and search.not_brands:
            index = self._shops[ask.tenant].knowledge.index.catalog
            barred = {brand.casefold() for brand in search.not_brands}
            places = [
                place
                for place, one in enumerate(made.items)
                if index.item(index.row(one.item_id)).brand.casefold() not in barred
            ]
        made = _only(made, places[: ask.k])
        items = made.items
        if planned.reply.dialogue is not None:
            ids = tuple(one.item_id for one in items)
            known = planned.reply.dialogue  # A later turn of this batch may have followed.
            now = self.conversations.of(ask.user_id, known.conversation_id, known.ts_ms)
            said = msgspec.structs.replace(now, item_ids=ids[:MOST_SHOWN])
            self.conversations.say(ask.user_id, said)
        return msgspec.structs.replace(made, answer=planned.reply.answer)

    def unanswered(self) -> Answer:
        """What is said where answering fails on us."""
        return Answer(text="I don't know: something went wrong here.", route="unknown")

    def conversation_records(self) -> list[Outgoing]:
        """What this batch said, for `conversations`."""
        return self.conversations.records()

    def hand_over_records(self) -> list[Outgoing]:
        """What this batch handed over, for `hand-overs`."""
        return [Outgoing(one.user_id.encode(), told(one, one.user_id)) for one in self._hand_overs]

    def sent(self) -> None:
        """Remember what this batch said: it is out."""
        self.conversations.sent()
        self._hand_overs.clear()

    def forget(self, covers: Callable[[str, int], bool]) -> None:
        """Drop what users said and wrote who are to be forgotten."""
        self.conversations.forget(covers)
        for answering in self._shops.values():
            answering.forget(covers)


def _only(made: Recommendation, places: Sequence[int]) -> Recommendation:
    """A list of some places of another one, with what is said of each."""
    search = made.search
    if isinstance(search, msgspec.Struct):
        described = tuple(search.described[at] for at in places if at < len(search.described))
        chances = search.chances[: len(places)]
        search = msgspec.structs.replace(search, described=described, chances=chances)
    return msgspec.structs.replace(
        made, items=tuple(made.items[at] for at in places), search=search
    )


def _both(page: Filters, wished: Filters) -> Filters:
    """What is wished, within what the page shows."""
    lows = [one.price_min for one in (page, wished) if one.price_min is not None]
    highs = [one.price_max for one in (page, wished) if one.price_max is not None]
    return Filters(
        category=page.category if wished.category is None else wished.category,
        brand=page.brand if wished.brand is None else wished.brand,
        price_min=max(lows, default=None),
        price_max=min(highs, default=None),
        available=page.available,
    )


class _Names:
    """Finds an item by words of its title, through the shop's search."""

    def __init__(self, index: ItemIndex, searches: SearchAnswers) -> None:
        self._index = index
        self._searches = searches

    def __call__(self, text: str) -> ItemVector | None:
        wanted = set(terms(text))
        if not wanted or not split(text):
            return None
        filters = Filters(available=False)
        mask = self._index.mask(filters, "product")
        found = self._searches.engine.find(engine.Ask(text, 5, filters), mask=mask)
        for row in found.rows.tolist():
            item = self._index.catalog.item(row)
            if len(wanted & set(terms(f"{item.brand} {item.title}"))) >= NAMED_SHARE * len(wanted):
                return item
        return None
