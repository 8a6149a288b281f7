"""The serving role: requests in, recommendations out, one thread.

An offset counts as done when the answers to everything up to it are committed; see
`consume_kafka`.

The loop:

1. hear what is new of items and model versions, swap the model if one is loaded;
2. poll requests, and users' events where pushes are on; choose whom to answer first (`backlog`);
   with new partitions, read back what was answered lately;
3. decode, refuse, decide pushes;
4. read the features of all users of the micro-batch in one call, rank, diversify, explain;
5. send refused records, answers and offsets in one transaction.

A crash before the end of 5 leaves no trace that a reader of committed records sees. A broker or
store that is away is waited for, with the micro-batch in hand. A micro-batch whose partitions went
to another worker is dropped: it is answered there.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from features.catalog import Catalog
from features.store import OnlineStore
from serving.ad_books import AdBooks
from serving.answer import ROLE, Answerer, Replies, Taken, Work
from serving.answers.desk import Desk
from serving.answers.feed import Feed
from serving.backlog import Backlog
from serving.config import ServingConfig
from serving.consume_kafka import Inbox, Offsets
from serving.followed import Followed
from serving.ranker import Models
from serving.recent_kafka import RecentReader
from serving.search.parts import SearchParts
from serving.send_kafka import Moved, Outbox
from serving.shops import Shops
from serving.telling import Speaks
from stream.access import check_access, refusal
from stream.clock import Clock, SystemClock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.metrics import (
    ANSWER_SECONDS,
    ANSWERS,
    DEAD_LETTERS,
    EVENT_AGE_SECONDS,
    REPEATED_ANSWERS,
    REQUESTS_WAITING,
    RETRIES,
    ROLE_READY,
    RUN_RECORDS,
    RUN_SECONDS,
)
from stream.tenants import ONE_SHOP
from stream.topics import Topics
from stream.variants import NO_TEST, VariantsConfig

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_LOAD_SLICE_S = 5.0
"""A look at whether to stop, while a long catalogue is read: each slice goes on from the last."""

_RECALL_SLICE_S = 30.0
"""The same, while the answers of the last minutes are read back."""

_INDEX_S = 20.0
"""At a start search takes a shop's items in for so long; the rest comes between micro-batches."""

_IDLE_COMMIT_S = 1.0
"""Offsets of records that bring no answer wait for the next answer, or this long."""

_FORGET_S = 1.0
"""Pause between two looks at whom to forget."""

_CHOICES_S = 0.02
"""Pause between two looks at who has opted out, and who is whom."""

_FIRST_MODEL_S = 30.0
"""Wait for the newest model at start, so that the first answers have it; then go on without."""


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`: the micro-batch in hand is finished and committed."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())


class _Stopped(Exception):
    """The stop event was set while waiting for a neighbour."""


class ServingLoop:
    """One serving process: `run` blocks until it is told to stop.

    Parameters
    ----------
    kafka
        Where the broker is.
    config
        How to answer.
    store
        The users' features; closed by whoever made it.
    catalog
        An empty catalogue of the encoder's width; filled from `item-vectors`. Each tenant has its
        own.
    models
        Loads and binds model versions.
    clock
        The time of day.
    tenants
        The shops beside the one without a name.
    test
        The A/B test that is on.
    search
        What searches are answered with; without it, requests with a query get lists.
    desk
        Answers questions; without it, requests with a question get lists.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        config: ServingConfig,
        *,
        store: OnlineStore,
        catalog: Catalog,
        models: Models,
        clock: Clock | None = None,
        speaker: Speaks | None = None,
        tenants: Collection[str] = ONE_SHOP,
        test: VariantsConfig = NO_TEST,
        search: SearchParts | None = None,
        desk: Desk | None = None,
    ) -> None:
        self._kafka = kafka
        self._config = config
        self._clock = clock or SystemClock()
        self._topics = Topics(kafka.topic_prefix)
        self._shops = Shops(
            tenants,
            catalog,
            models=models,
            config=config,
            clock=self._clock,
            speaker=speaker,
            test=test,
            search=search,
        )
        self._clicks = None if search is None else search.clicks(self._shops.searches)
        who = self._shops.recommenders
        self._answerer = Answerer(
            store,
            who[""],
            config,
            self._topics,
            self._clock,
            recommenders=who,
            searches=self._shops.searches,
            desk=desk,
        )
        self._feed = None
        if desk is not None:
            self._shops.open(desk)
            self._feed = Feed(kafka, desk, self._clock, tenants)
        self._ads = AdBooks(kafka, config, who, self._clock) if config.ads else None
        self._backlog = Backlog(config, self._topics.requests, self._clock)
        self._recent = RecentReader(kafka, config.repeat_window_s)
        self._outbox = Outbox(kafka, config)
        self._news, self._leaving, self._people = self._followed()
        self._stop = threading.Event()
        self._committed_s = 0.0

    def _followed(self) -> tuple[Followed, Followed, Followed]:
        """What every process hears: items and versions, who leaves, and who is who."""
        kafka, clock, topics = self._kafka, self._clock, self._topics
        every_s = self._config.follow_ms / 1000
        items = {topics.item_vectors: self._shops.apply, topics.adapters: self._shops.hear}
        people = {
            topics.choices: self._answerer.choices.take,
            topics.identities: self._answerer.links.take,
        }
        return (
            Followed(kafka, clock, "items and versions", every_s, items),
            Followed(kafka, clock, "whom to forget", _FORGET_S, {topics.forget: self._hear_forget}),
            Followed(kafka, clock, "choices and identities", _CHOICES_S, people),
        )

    def run(self, stop: threading.Event) -> None:
        """Answer until `stop` is set; then finish the micro-batch in hand, commit and leave."""
        self._stop = stop
        inbox: Inbox | None = None
        try:
            self._load()
            while not stop.is_set():
                if inbox is None:
                    self._insist(self._outbox.open)
                    inbox = self._insist(lambda: Inbox(self._kafka, self._config, self._revoked))
                self._follow()
                try:
                    self._answer_one_batch(inbox)
                except Moved as error:
                    _log.warning("left to the group what was in hand: %s", error)
                    self._leave(inbox)
                    inbox = None
                ROLE_READY.set(inbox is not None and inbox.joined)
        except _Stopped:
            _log.info("stopped while waiting; what was in hand is answered after the next start")
        finally:
            ROLE_READY.set(0)
            heard = (self._clicks, self._ads, self._feed, self._news, self._leaving, self._people)
            for part in (inbox, self._outbox, *heard):
                if part is not None:
                    with contextlib.suppress(KafkaError):
                        part.close()

    def _load(self) -> None:
        """Read all that is followed to its end as of now, and take the newest model."""
        self._insist(lambda: self._news.load(_LOAD_SLICE_S))
        self._shops.swap_models()
        self._shops.settle(_FIRST_MODEL_S)
        self._shops.swap_models()
        self._shops.count_items()
        self._shops.follow_search(_INDEX_S)
        if self._feed is not None:
            self._feed.load(self._insist)
        _log.info("catalogue loaded: %s", self._shops)
        self._insist(lambda: self._people.load(_LOAD_SLICE_S))
        self._insist(lambda: self._leaving.load(_LOAD_SLICE_S))

    def _follow(self) -> None:
        """Step 1: each of it when it is time; a broker that is away changes nothing here."""
        changed = self._news.follow()
        if changed:
            self._shops.count_items()
        if changed is not None:
            self._shops.follow_search()
            for reads in (self._clicks, self._ads):
                if reads is not None:
                    reads.follow()
            if self._feed is not None:
                self._feed.follow(self._answerer.forgotten, self._answerer.opted_out)
        self._shops.swap_models()
        self._follow_forget()
        self._people.follow()

    def _follow_forget(self) -> None:
        """Drop what is remembered of users who are to be forgotten, and them once they are."""
        heard = self._leaving.follow()
        if heard:
            self._answerer.forget()
        forgotten = self._answerer.forgotten
        if heard is not None and len(forgotten):
            forgotten.trim(self._leaving.first_offsets(self._topics.forget))

    def _hear_forget(self, record: Any) -> None:
        self._answerer.forgotten.take(record.partition, [record])

    def _answer_one_batch(self, inbox: Inbox) -> None:
        """Steps 2 to 5."""
        records = self._next_batch(inbox)
        started_s = self._clock.monotonic_s()
        work = self._answerer.take(records)
        replies = self._insist(lambda: self._answerer.answer(work))
        offsets = inbox.due(records, self._held())
        idle = work.empty and started_s - self._committed_s < _IDLE_COMMIT_S
        if idle or (work.empty and not inbox.moves(offsets)):
            return
        self._commit(inbox, work, replies, offsets)
        self._measure(work, replies, started_s)

    def _next_batch(self, inbox: Inbox) -> list[Taken]:
        """Step 2. New partitions' records wait until it is known what was answered of them."""
        room = self._backlog.room
        polled: list[Taken] = []
        if room:
            wait_s = 0.0 if len(self._backlog) else self._longest_wait_s()
            polled = self._insist(lambda: inbox.poll(wait_s, room))
        if inbox.fresh:
            self._insist(self._recall)
            inbox.fresh = False
        records = self._backlog.next(polled)
        REQUESTS_WAITING.set(len(self._backlog))
        return records

    def _recall(self) -> None:
        if self._ads is not None:
            self._ads.load()
        if self._feed is not None:
            self._feed.catch_up()
        recent = self._answerer.recent
        count = self._recent.catch_up(recent.keep_record, self._clock.now_ms(), _RECALL_SLICE_S)
        self._answerer.forget()
        _log.info("%d answers read back, %d remembered", count, len(recent))

    def _commit(self, inbox: Inbox, work: Work, replies: Replies, offsets: Offsets) -> None:
        """Step 5, until it is certain that it happened: once."""
        records = {
            self._topics.dead_letters: work.refused,
            self._topics.recommendations: replies.answers,
        }
        if self._ads is not None:
            records[self._ads.topic] = self._ads.spent()
        if replies.conversations or replies.hand_overs:
            records[self._topics.conversations] = replies.conversations
            records[self._topics.hand_overs] = replies.hand_overs
        tried = False

        def once() -> None:
            nonlocal tried
            self._outbox.open()
            if not (tried and inbox.finished(offsets)):
                tried = True
                self._outbox.commit(records, offsets, inbox.member)

        self._insist(once)
        inbox.done(offsets)
        self._answerer.sent(replies)
        if self._ads is not None:
            self._ads.out()
        self._committed_s = self._clock.monotonic_s()

    def _held(self) -> dict[TopicPartition, int]:
        """The first unanswered offset of each partition that has one."""
        waiting = self._answerer.debounce.held().items()
        held = {TopicPartition(self._topics.examples, number): at for number, at in waiting}
        for (topic, number), at in self._backlog.held().items():
            held[TopicPartition(topic, number)] = at
        return held

    def _revoked(self, places: set[TopicPartition]) -> None:
        mine = self._topics.examples
        self._answerer.debounce.drop({at.partition for at in places if at.topic == mine})
        self._backlog.drop({(at.topic, at.partition) for at in places})

    def _leave(self, inbox: Inbox) -> None:
        """Forget what was in hand, and come back to the group as a new member."""
        self._backlog.drop(None)
        self._answerer.debounce.drop(None)
        if self._ads is not None:
            self._ads.give_up()
        with contextlib.suppress(KafkaError):
            inbox.close()

    def _longest_wait_s(self) -> float:
        due_s = self._answerer.debounce.next_due_s()
        longest_s = self._config.poll_ms / 1000
        return longest_s if due_s is None else min(longest_s, due_s)

    def _measure(self, work: Work, replies: Replies, started_s: float) -> None:
        for reason in work.reasons:
            DEAD_LETTERS.labels(role=ROLE, reason=reason).inc()
        REPEATED_ANSWERS.inc(len(work.repeats) + len(work.again))
        for ask in work.expired:
            ANSWERS.labels(path="expired", trigger="request", tenant=ask.tenant).inc()
        if not work.asks:
            return
        now_ms = self._clock.now_ms()
        RUN_RECORDS.labels(stage=ROLE).observe(len(work.asks))
        RUN_SECONDS.labels(stage=ROLE).observe(self._clock.monotonic_s() - started_s)
        ANSWER_SECONDS.labels(phase="features").observe(replies.timings.features_ms / 1000)
        ANSWER_SECONDS.labels(phase="score").observe(replies.timings.score_ms / 1000)
        ANSWER_SECONDS.labels(phase="total").observe(self._clock.monotonic_s() - started_s)
        for ask, path, received_ms in zip(work.asks, replies.paths, work.received_ms, strict=True):
            trigger = "event" if ask.request_id is None else "request"
            ANSWERS.labels(path=path, trigger=trigger, tenant=ask.tenant).inc()
            if received_ms is not None:
                age_s = max(0, now_ms - received_ms) / 1000
                EVENT_AGE_SECONDS.labels(stage="served").observe(age_s)

    def _insist(self, action: Callable[[], _T]) -> _T:
        """Do something until the neighbour that it needs is there, or we are to stop."""
        wait_s = self._config.retry_first_s
        while True:
            try:
                return action()
            except (Unavailable, KafkaError) as error:
                if refused := refusal(error, self._kafka):
                    raise refused from error
                check_access(self._kafka)
                RETRIES.labels(role=ROLE).inc()
                _log.warning("%s; trying again in %.1f s", error, wait_s)
            if self._stop.wait(wait_s):
                raise _Stopped
            wait_s = min(2 * wait_s, self._config.retry_longest_s)
