"""Where the desk hears from: reviews, documents and conversations, each followed in every process.

Conversations and documents are there before the first request is answered. Reviews are read back
afterwards, a slice of time between two micro-batches: a start needn't wait for years of them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from kafka.errors import KafkaError

from serving.answers.desk import Desk
from serving.answers.review_book import Said, review_text
from stream.broadcast import BroadcastReader
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Unavailable
from stream.forget import Forgotten
from stream.metrics import KNOWN_TEXTS
from stream.parse import parse_event
from stream.parse_document import parse_document, parse_document_key
from stream.replayed import source_of
from stream.tenants import tenant_of
from stream.topics import Topics

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_LOAD_SLICE_S = 5.0
_CATCH_UP_S = 30.0

Insist = Callable[[Callable[[], int]], int]


class Feed:
    """Follows what the desk has to know.

    Parameters
    ----------
    desk
        Who is told.
    tenants
        The shops beside the one without a name.
    """

    def __init__(
        self, kafka: KafkaConfig, desk: Desk, clock: Clock, tenants: Collection[str]
    ) -> None:
        topics = Topics(kafka.topic_prefix)
        self._desk = desk
        self._clock = clock
        self._tenants = tenants
        self._topic_of_reviews = topics.reviews
        self._documents = BroadcastReader(kafka, topics.documents)
        self._reviews = BroadcastReader(kafka, topics.reviews)
        self._conversations = BroadcastReader(kafka, topics.conversations)
        self._waiting: deque[Any] = deque()

    def load(self, insist: Insist) -> None:
        """Read documents and conversations to their end as of now."""
        insist(lambda: self._documents.load(self._hear_document, _LOAD_SLICE_S))
        insist(lambda: self._conversations.load(self._hear_conversation, _LOAD_SLICE_S))
        self._desk.follow(_LOAD_SLICE_S)
        self._count()

    def catch_up(self) -> None:
        """Read conversations to their end: before a new partition's first question.

        Raises
        ------
        Unavailable
            If the broker doesn't answer; the next call goes on from there.
        """
        self._conversations.load(self._hear_conversation, _CATCH_UP_S)

    def follow(self, forgotten: Forgotten, opted_out: Callable[[str], bool]) -> None:
        """Take in what is new, for a moment; a broker that is away changes nothing here.

        Parameters
        ----------
        forgotten
            Whose reviews of before are to be left out.
        opted_out
            Whether a user's reviews are to be: what they do isn't counted.
        """
        try:
            self._documents.poll(self._hear_document, 0.0)
            self._conversations.poll(self._hear_conversation, 0.0)
            if not self._waiting:
                self._reviews.poll(self._waiting.append, 0.0)
        except (Unavailable, KafkaError) as error:
            _log.warning("reviews and documents aren't followed now: %s", error)
        slice_s = self._desk.config.slice_ms / 1000
        self._desk.follow(slice_s)
        if not self._waiting:
            return
        end_s = time.monotonic() + slice_s
        while self._waiting and time.monotonic() < end_s:
            self._hear_review(self._waiting.popleft(), forgotten, opted_out)
        self._count()

    def close(self) -> None:
        """Give the connections back."""
        for reader in (self._documents, self._reviews, self._conversations):
            reader.close()

    def _hear_review(
        self, record: Any, forgotten: Forgotten, opted_out: Callable[[str], bool]
    ) -> None:
        source = source_of(record, self._topic_of_reviews, record.partition)
        try:
            event = parse_event(
                "reviews",
                record.value,
                source,
                record.timestamp,
                self._clock.now_ms(),
                tenants=self._tenants,
            )
        except BadRecord:
            return  # Ingest makes a dead letter of it.
        knowledge = self._desk.knowledge.get(tenant_of(event.user_id))
        if knowledge is None or forgotten.covers(event.user_id, record.timestamp):
            return
        if opted_out(event.user_id):
            return
        text = review_text(event.title, event.text)
        knowledge.reviews.add(
            Said(
                event.event_id,
                event.user_id,
                event.item_id,
                text,
                event.ts_ms,
                record.timestamp,
            )
        )

    def _hear_document(self, record: Any) -> None:
        try:
            if record.value is None:
                document_id = parse_document_key(record, self._tenants)
                knowledge = self._desk.knowledge.get(tenant_of(document_id))
                if knowledge is not None:
                    knowledge.documents.delete(document_id)
                return
            document = parse_document(record, self._tenants)
        except BadRecord:
            return  # The documents' agent makes a dead letter of it.
        knowledge = self._desk.knowledge.get(tenant_of(document.document_id))
        if knowledge is not None:
            knowledge.documents.put(document)

    def _hear_conversation(self, record: Any) -> None:
        self._desk.conversations.hear(record.key, record.value)

    def _count(self) -> None:
        shops = self._desk.knowledge.values()
        KNOWN_TEXTS.labels(kind="review").set(sum(len(shop.reviews) for shop in shops))
        KNOWN_TEXTS.labels(kind="document").set(sum(len(shop.documents) for shop in shops))
