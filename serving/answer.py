"""From Kafka records to answers and dead letters. Pure: it takes records and returns records.

A micro-batch goes through in two steps, because the second may have to be repeated while the online
store is away, and the first must not be:

1. `take`: decode, refuse what is broken, decide which of the users' events are answered;
2. `answer`: read the features of all users at once, rank, encode.

`recommendation_id` is derived from the record that an answer answers, so that an answer sent twice
after a crash can be told by its id: `<topic>-<partition>-<offset>` of the request, or of the event.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from features.store import OnlineStore, UserFeatures
from serving.config import ServingConfig
from serving.push import Place, Push, PushDebounce
from serving.recommend import Ask, Recommender
from stream.batching import Record
from stream.clock import Clock
from stream.deadletter import dead_letter
from stream.errors import BadRecord
from stream.events import AnswerPath, Example, Recommendation, Timings, decode_example, json_encode
from stream.outgoing import Outgoing
from stream.parse import parse_request
from stream.replayed import source_of
from stream.topics import Topics

_log = logging.getLogger(__name__)

ROLE = "serving"
"""The role's name in metrics and dead letters."""


class Taken(NamedTuple):
    """A record and where it came from."""

    topic: str
    partition: int
    record: Record


class Work(NamedTuple):
    """A decoded micro-batch: what to answer, and what is refused."""

    asks: list[Ask]
    received_ms: list[int | None]
    refused: list[Outgoing]
    reasons: list[str]


class Replies(NamedTuple):
    """The answers of a micro-batch, encoded, and the figures of how they were made."""

    answers: list[Outgoing]
    paths: list[AnswerPath]
    timings: Timings


class Answerer:
    """Answers micro-batches from one online store with one recommender."""

    def __init__(
        self,
        store: OnlineStore,
        recommender: Recommender,
        config: ServingConfig,
        topics: Topics,
        clock: Clock,
    ) -> None:
        self.recommender = recommender
        self.debounce = PushDebounce(config.push_debounce_s, config.push_max_users, clock)
        self._store = store
        self._config = config
        self._topics = topics
        self._clock = clock

    def take(self, records: Sequence[Taken]) -> Work:
        """Decode requests and examples; pushes that have become due are added."""
        work = Work([], [], [], [])
        examples: list[tuple[Place, Example]] = []
        now_ms = self._clock.now_ms()
        for taken in records:
            topic, partition, record = taken
            try:
                if topic == self._topics.requests:
                    request = parse_request(record)
                    answer_id = source_of(record, topic, partition)
                    work.asks.append(Ask.of_request(request, answer_id))
                    work.received_ms.append(None)
                elif now_ms - record.timestamp <= self._config.push_max_age_s * 1000:
                    examples.append((Place(partition, record.offset), _decode(record)))
            except BadRecord as error:
                work.refused.append(dead_letter(record, topic, partition, ROLE, error, now_ms))
                work.reasons.append(error.reason)
        self.debounce.offer(examples)
        for push in self.debounce.due():
            work.asks.append(self._ask(push))
            work.received_ms.append(push.example.received_ms)
        return work

    def answer(self, work: Work) -> Replies:
        """Make the lists of a micro-batch; the same work may be answered again.

        Raises
        ------
        stream.errors.Unavailable
            If the online store does not answer.
        """
        started_s = self._clock.monotonic_s()
        users = list(dict.fromkeys(ask.user_id for ask in work.asks))
        rows = dict(zip(users, self._store.read(users), strict=True)) if users else {}
        read_s = self._clock.monotonic_s()
        made = self._recommend(work.asks, [rows[ask.user_id] for ask in work.asks])
        ended_s = self._clock.monotonic_s()
        timings = Timings(
            features_ms=_ms(read_s - started_s),
            score_ms=_ms(ended_s - read_s),
            total_ms=_ms(ended_s - started_s),
        )
        answers = [
            Outgoing(
                key=answer.user_id.encode(),
                value=json_encode(msgspec.structs.replace(answer, timings=timings)),
            )
            for answer in made
        ]
        return Replies(answers, [answer.path for answer in made], timings)

    def _recommend(
        self, asks: list[Ask], features: list[UserFeatures | None]
    ) -> list[Recommendation]:
        """Answer all at once; if that fails, one by one, and what fails alone without the model.

        So a request on which a model breaks down costs neither its neighbours their lists nor the
        process its life: it would find the same request again after every restart.
        """
        try:
            return self.recommender.answer_many(asks, features)
        except Exception as error:
            if len(asks) == 1:
                _log.exception(
                    "model version %s failed on %s: answered without it",
                    self.recommender.ranker.version,
                    asks[0].recommendation_id,
                )
                return [self.recommender.answer_plainly(asks[0], features[0])]
            _log.error("a micro-batch of %d failed (%s): answering one by one", len(asks), error)
        return [
            answer
            for ask, user in zip(asks, features, strict=True)
            for answer in self._recommend([ask], [user])
        ]

    def _ask(self, push: Push) -> Ask:
        example = push.example
        return Ask(
            recommendation_id=f"{self._topics.events}-{example.partition}-{example.offset}",
            user_id=example.user_id,
            k=self._config.push_k,
            context_item=example.item_id,
            surface="push",
        )


def _decode(record: Record) -> Example:
    try:
        return decode_example(record.value or b"")
    except (msgspec.MsgspecError, UnicodeError) as error:
        field, wanted = "value", f"an example as the profile writes it ({error})"
        raise BadRecord(field, record.value, wanted, "wrong_type") from error


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
