"""The serving role: requests in, recommendations out, one thread.

An offset counts as done when the answers to everything up to it are acked; see `consume_kafka`.

The loop:

1. hear what is new of items and model versions, swap the model if one is loaded;
2. poll requests, and users' events where pushes are on;
3. decode, refuse, decide pushes;
4. read the features of all users of the micro-batch in one call, rank, diversify, explain;
5. send refused records and answers, wait until all are acked;
6. commit offsets.

A crash before 5 leaves no trace; one between 5 and 6 repeats answers under the same ids. A broker
or store that is away is waited for, with the micro-batch in hand.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable
from typing import TypeVar

from kafka.errors import KafkaError

from features.catalog import Catalog
from features.store import OnlineStore
from serving.answer import ROLE, Answerer, Replies, Work
from serving.config import ServingConfig
from serving.consume_kafka import Inbox
from serving.index import ItemIndex
from serving.ranker import Models
from serving.recommend import Recommender
from serving.send_kafka import Outbox
from serving.swap import AdapterSwap
from stream.access import check_access, refusal
from stream.broadcast import BroadcastReader
from stream.clock import Clock, SystemClock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.metrics import (
    ADAPTER_SWAPS,
    ADAPTER_VERSION,
    ANSWER_SECONDS,
    ANSWERS,
    CATALOGUE_ITEMS,
    DEAD_LETTERS,
    EVENT_AGE_SECONDS,
    RETRIES,
    ROLE_READY,
    RUN_RECORDS,
    RUN_SECONDS,
)
from stream.topics import Topics

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_LOAD_SLICE_S = 5.0
"""A look at whether to stop, while a long catalogue is read: each slice goes on from the last."""

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
        An empty catalogue of the encoder's width; filled from `item-vectors`.
    models
        Loads and binds model versions.
    clock
        The time of day.
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
    ) -> None:
        self._kafka = kafka
        self._config = config
        self._clock = clock or SystemClock()
        self._topics = Topics(kafka.topic_prefix)
        self._index = ItemIndex(catalog)
        self._swap = AdapterSwap(models, catalog, config.model)
        self._recommender = Recommender(self._index, models.untrained(catalog), config, self._clock)
        self._answerer = Answerer(store, self._recommender, config, self._topics, self._clock)
        self._outbox = Outbox(kafka, config)
        self._stop = threading.Event()
        self._followed_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Answer until `stop` is set; then finish the micro-batch in hand, commit and leave."""
        self._stop = stop
        readers: list[BroadcastReader] = []
        inbox: Inbox | None = None
        try:
            items = self._insist(lambda: BroadcastReader(self._kafka, self._topics.item_vectors))
            readers.append(items)
            versions = self._insist(lambda: BroadcastReader(self._kafka, self._topics.adapters))
            readers.append(versions)
            self._load(items, versions)
            inbox = self._insist(
                lambda: Inbox(self._kafka, self._config, self._answerer.debounce.drop)
            )
            while not stop.is_set():
                self._follow(items, versions)
                self._answer_one_batch(inbox)
                ROLE_READY.set(inbox.joined)
        except _Stopped:
            _log.info("stopped while waiting; what was in hand is answered after the next start")
        finally:
            ROLE_READY.set(0)
            for part in (inbox, self._outbox, *readers):
                if part is not None:
                    with contextlib.suppress(KafkaError):
                        part.close()

    def _load(self, items: BroadcastReader, versions: BroadcastReader) -> None:
        """Read catalogue and versions to their end as of now, and take the newest model."""
        self._insist(lambda: items.load(self._index.apply, _LOAD_SLICE_S))
        self._insist(lambda: versions.load(self._swap.hear, _LOAD_SLICE_S))
        self._swap_model()
        self._swap.settle(_FIRST_MODEL_S)
        self._swap_model()
        self._count_items()
        _log.info("catalogue of %d items loaded", len(self._index.catalog))

    def _follow(self, items: BroadcastReader, versions: BroadcastReader) -> None:
        """Step 1, at most every `follow_ms`; a broker that is away changes nothing here."""
        now_s = self._clock.monotonic_s()
        if now_s - self._followed_s >= self._config.follow_ms / 1000:
            self._followed_s = now_s
            try:
                changed = items.poll(self._index.apply, 0.0)
                versions.poll(self._swap.hear, 0.0)
            except (Unavailable, KafkaError) as error:
                _log.warning("items and versions not followed now: %s", error)
                changed = 0
            if changed:
                self._count_items()
        self._swap_model()

    def _swap_model(self) -> None:
        swap = self._swap.step()
        if swap is None:
            return
        ADAPTER_SWAPS.labels(outcome=swap.outcome).inc()
        if swap.ranker is not None:
            self._recommender.ranker = swap.ranker
            ADAPTER_VERSION.set(swap.ranker.version or 0)

    def _answer_one_batch(self, inbox: Inbox) -> None:
        """Steps 2 to 6."""
        records = self._insist(lambda: inbox.poll(self._longest_wait_s()))
        started_s = self._clock.monotonic_s()
        work = self._answerer.take(records)
        if work.asks:
            replies = self._insist(lambda: self._answerer.answer(work))
            self._insist(lambda: self._send(work, replies))
            self._measure(work, replies, started_s)
        elif work.refused:
            self._insist(lambda: self._outbox.send(self._topics.dead_letters, work.refused))
        for reason in work.reasons:
            DEAD_LETTERS.labels(role=ROLE, reason=reason).inc()
        inbox.done(records, self._answerer.debounce.held())

    def _send(self, work: Work, replies: Replies) -> None:
        self._outbox.send(self._topics.dead_letters, work.refused)
        self._outbox.send(self._topics.recommendations, replies.answers)

    def _longest_wait_s(self) -> float:
        due_s = self._answerer.debounce.next_due_s()
        longest_s = self._config.poll_ms / 1000
        return longest_s if due_s is None else min(longest_s, due_s)

    def _measure(self, work: Work, replies: Replies, started_s: float) -> None:
        now_ms = self._clock.now_ms()
        RUN_RECORDS.labels(stage=ROLE).observe(len(work.asks))
        RUN_SECONDS.labels(stage=ROLE).observe(self._clock.monotonic_s() - started_s)
        ANSWER_SECONDS.labels(phase="features").observe(replies.timings.features_ms / 1000)
        ANSWER_SECONDS.labels(phase="score").observe(replies.timings.score_ms / 1000)
        ANSWER_SECONDS.labels(phase="total").observe(self._clock.monotonic_s() - started_s)
        for ask, path, received_ms in zip(work.asks, replies.paths, work.received_ms, strict=True):
            trigger = "event" if ask.request_id is None else "request"
            ANSWERS.labels(path=path, trigger=trigger).inc()
            if received_ms is not None:
                age_s = max(0, now_ms - received_ms) / 1000
                EVENT_AGE_SECONDS.labels(stage="served").observe(age_s)

    def _count_items(self) -> None:
        offered = self._index.offered
        CATALOGUE_ITEMS.labels(state="available").set(offered)
        CATALOGUE_ITEMS.labels(state="withdrawn").set(len(self._index.catalog) - offered)

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
