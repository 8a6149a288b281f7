"""From Kafka records to answers and dead letters. Pure: it takes records and returns records.

A micro-batch goes through in two steps, because the second may have to be repeated while the online
store is away, and the first must not be:

1. `take`: decode, refuse what is broken, find what was answered before, decide which of the users'
   events are answered;
2. `answer`: read the features of all users at once, rank shop by shop, encode;
3. `sent`: remember what is on `recommendations` now.

`recommendation_id` is derived from the record that an answer answers, the request or the event:
`<topic>-<partition>-<offset>`. A request that the shop sends twice is another record, but gets the
first one's answer again, byte for byte, as long as that is remembered (`serving.recent`). A record
that is read again although its answer is out is passed over.

A request that waited longer than `request_max_age_s` gets an empty answer with the path `expired`:
nobody waits for a list any more, and the store and the model are left to those who do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from features.identity import merged
from features.store import OnlineStore, UserFeatures
from serving.answers.desk import Desk
from serving.ask import Ask
from serving.config import ServingConfig
from serving.dispatch import Dispatch
from serving.fitted import fitted
from serving.push import Place, Push, PushDebounce
from serving.recent import Kept, Key, RecentAnswers, key_of
from serving.recommend import Recommender
from serving.search.answers import SearchAnswers
from stream.batching import Record
from stream.choices import Choices
from stream.clock import Clock
from stream.deadletter import dead_letter, shortened
from stream.errors import BadRecord
from stream.events import AnswerPath, Example, Timings, decode_example
from stream.forget import Forgotten
from stream.identities import Links
from stream.outgoing import Outgoing
from stream.parse import parse_request
from stream.refusals import PROCESS_FAULTS, Refused, Refusing
from stream.replayed import source_of
from stream.tenants import tenant_of
from stream.topics import Topics

ROLE = "serving"
"""The role's name in metrics and dead letters."""


class Taken(NamedTuple):
    """A record and where it came from."""

    topic: str
    partition: int
    record: Record


class Work(NamedTuple):
    """A decoded micro-batch: what to answer, and what is refused.

    `expired` are asks that came too late for a list. `repeats` are answers that were given before
    and are asked for again; `again` are the asks whose answer is in this very micro-batch.
    """

    asks: list[Ask]
    received_ms: list[int | None]
    refused: list[Outgoing]
    reasons: list[str]
    expired: list[Ask]
    repeats: list[Outgoing]
    again: list[Ask]

    @property
    def empty(self) -> bool:
        """Whether nothing is to be sent."""
        return not (self.asks or self.refused or self.expired or self.repeats)


class Replies(NamedTuple):
    """The answers of a micro-batch, encoded, and the figures of how they were made.

    `paths` are those of the work's asks; `kept` is what `sent` remembers. `conversations` and
    `hand_overs` follow from questions.
    """

    answers: list[Outgoing]
    paths: list[AnswerPath]
    timings: Timings
    kept: list[tuple[Key, Kept]]
    conversations: list[Outgoing]
    hand_overs: list[Outgoing]


class Answerer:
    """Answers micro-batches from one online store.

    Parameters
    ----------
    recommender
        Makes the lists of the shop without a name.
    recommenders
        Make those of all shops, by their tenant; it alone unless given.
    searches
        Answer requests with a query, by their tenant; where there are none, they get lists.
    desk
        Answers requests with a question; where there is none, they get lists.
    """

    def __init__(
        self,
        store: OnlineStore,
        recommender: Recommender,
        config: ServingConfig,
        topics: Topics,
        clock: Clock,
        *,
        recommenders: Mapping[str, Recommender] | None = None,
        searches: Mapping[str, SearchAnswers] | None = None,
        desk: Desk | None = None,
    ) -> None:
        self.recommender = recommender
        who = dict(recommenders or {"": recommender})
        self._dispatch = Dispatch(who, searches or {}, desk, clock)
        self._shops = frozenset(who)
        self._tenants = self._shops - {""}
        self.debounce = PushDebounce(config.push_debounce_s, config.push_max_users, clock)
        self.recent = RecentAnswers(config.repeat_window_s, config.repeat_memory_mb << 20, clock)
        self.forgotten = Forgotten()
        self.choices = Choices(self._tenants)
        self.links = Links(self._tenants)
        self.refusing = Refusing(ROLE, clock)
        self._store = store
        self._config = config
        self._topics = topics
        self._clock = clock

    def take(self, records: Sequence[Taken]) -> Work:
        """Decode requests and examples; pushes that have become due are added.

        Raises
        ------
        stream.errors.TooManyRefused
            If too many of them fail on us: the shop's rubbish is not among these.
        """
        work = Work([], [], [], [], [], [], [])
        examples: list[tuple[Place, Example]] = []
        now_ms = self._clock.now_ms()
        asked: set[Key] = set()
        for taken in records:
            topic, partition, record = taken
            try:
                if topic == self._topics.requests:
                    answer_id = source_of(record, topic, partition)
                    request = parse_request(record, self._tenants)
                    ask = self._as_chosen(Ask.of_request(request, answer_id))
                    self._sort(work, ask, now_ms - record.timestamp, asked)
                elif now_ms - record.timestamp <= self._config.push_max_age_s * 1000:
                    example = _decode(record)
                    known = tenant_of(example.user_id) in self._shops
                    if known and not self.forgotten.covers(example.user_id, example.received_ms):
                        examples.append((Place(partition, record.offset), example))
            except PROCESS_FAULTS:
                raise
            except Exception as error:
                if isinstance(error, BadRecord) and topic == self._topics.requests:
                    letter, reason = (
                        dead_letter(record, topic, partition, ROLE, error, now_ms),
                        error.reason,
                    )
                    self.refusing.passed(topic, partition, 1)
                else:
                    refused = Refused(topic, partition, record, error, tries=1)
                    self.refusing.refuse(refused)
                    letter, reason = self.refusing.letter(refused), "failed"
                work.refused.append(shortened(letter))  # They go with answers, all or nothing.
                work.reasons.append(reason)
            else:
                self.refusing.passed(topic, partition, 1)
        self.debounce.offer(examples)
        for push in self.debounce.due():
            ask = self._as_chosen(self._ask(push))
            if ask.personal and self.recent.find(_key(ask)) is None:
                work.asks.append(ask)
                work.received_ms.append(push.example.received_ms)
        return work

    def _sort(self, work: Work, ask: Ask, age_ms: int, asked: set[Key]) -> None:
        """Put a request where it belongs: to the known ones, the late ones, or those to rank."""
        key = _key(ask)
        if known := self.recent.find(key):
            if known.recommendation_id != ask.recommendation_id:
                work.repeats.append(Outgoing(ask.user_id.encode(), known.value))
        elif key in asked:
            work.again.append(ask)
        else:
            asked.add(key)
            max_age_s = self._config.request_max_age_s
            if max_age_s and age_ms > max_age_s * 1000:
                work.expired.append(ask)
            else:
                work.asks.append(ask)
                work.received_ms.append(None)

    def answer(self, work: Work) -> Replies:
        """Make the lists of a micro-batch; the same work may be answered again.

        Raises
        ------
        stream.errors.Unavailable
            If the online store does not answer.
        """
        started_s = self._clock.monotonic_s()
        rows = self._rows([ask.user_id for ask in work.asks if ask.personal])
        read_s = self._clock.monotonic_s()
        made = self._dispatch.answer_many(
            work.asks, [rows.get(ask.user_id) if ask.personal else None for ask in work.asks]
        )
        ended_s = self._clock.monotonic_s()
        timings = Timings(
            features_ms=_ms(read_s - started_s),
            score_ms=_ms(ended_s - read_s),
            total_ms=_ms(ended_s - started_s),
        )
        made += [self._dispatch.empty(ask, "expired") for ask in work.expired]
        kept: list[tuple[Key, Kept]] = []
        answers = []
        for answer in made:
            value = fitted(msgspec.structs.replace(answer, timings=timings))
            answers.append(Outgoing(answer.user_id.encode(), value))
            key = key_of(answer.user_id, answer.request_id, answer.recommendation_id)
            kept.append((key, Kept(answer.recommendation_id, value, answer.ts_ms)))
        first = {key: answer for (key, _), answer in zip(kept, answers, strict=True)}
        answers += work.repeats
        answers += [first[_key(ask)] for ask in work.again]
        paths = [answer.path for answer in made[: len(work.asks)]]
        return Replies(answers, paths, timings, kept, *self._dispatch.said())

    def forget(self) -> None:
        """Drop all that is remembered of users who are to be forgotten."""
        if len(self.forgotten):
            self.debounce.forget(self.forgotten)
            self.recent.drop(self.forgotten)
            self._dispatch.forget(self.forgotten.covers)

    def sent(self, replies: Replies) -> None:
        """Remember answers that are out, for whoever asks again."""
        for key, kept in replies.kept:
            self.recent.keep(key, kept)
        self._dispatch.sent()

    def opted_out(self, user_id: str) -> bool:
        """Whether a user has opted out, under any of their ids."""
        return any(self.choices.opted_out(one) for one in self.links.group(user_id))

    def _as_chosen(self, ask: Ask) -> Ask:
        """An ask of who has opted out, under any of their ids, is nobody's in particular."""
        if self.opted_out(ask.user_id):
            return msgspec.structs.replace(ask, personal=False, counted=False)
        return ask

    def _rows(self, user_ids: Sequence[str]) -> dict[str, UserFeatures | None]:
        """What is known of users: of all ids of each person, seen as one."""
        groups = {user_id: self.links.group(user_id) for user_id in user_ids}
        every = list(dict.fromkeys(one for group in groups.values() for one in group))
        rows = dict(zip(every, self._store.read(every), strict=True)) if every else {}
        return {
            user_id: rows[user_id]
            if len(group) == 1
            else merged(user_id, [rows[one] for one in group])
            for user_id, group in groups.items()
        }

    def _ask(self, push: Push) -> Ask:
        example = push.example
        return Ask(
            recommendation_id=f"{self._topics.events}-{example.partition}-{example.offset}",
            user_id=example.user_id,
            k=self._config.push_k,
            context_item=example.item_id,
            surface="push",
        )


def _key(ask: Ask) -> Key:
    return key_of(ask.user_id, ask.request_id, ask.recommendation_id)


def _decode(record: Record) -> Example:
    try:
        return decode_example(record.value or b"")
    except (msgspec.MsgspecError, UnicodeError) as error:
        field, wanted = "value", f"an example as the profile writes it ({error})"
        raise BadRecord(field, record.value, wanted, "wrong_type") from error


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
