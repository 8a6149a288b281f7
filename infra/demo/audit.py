"""The audit: every figure of the demo, read back from the topics when all is through.

Nothing is counted on the way: the play says only where its records begin (`Start`), and the audit
reads the topics from there. What lay in the topics before is read too, because a record may
repeat an event of an earlier run, but it isn't counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from infra.demo.fates import EventKey, Fates, Place, Sent, decide
from infra.demo.figures import Figures, summary
from infra.demo.freshness import Answer, Applied, events_to_answers_ms, events_to_weights_s
from infra.demo.reading import Placed, end_offsets, read_topic
from stream.connect import KafkaConfig
from stream.errors import BadRecord
from stream.events import (
    AdapterVersion,
    decode_adapter,
    decode_event,
    decode_example,
    decode_recommendation,
    decode_shift,
)
from stream.parse import TopicKind, parse_event
from stream.replayed import source_of
from stream.topics import SPECS, Topics

Start = Mapping[tuple[str, int], int]
"""The first offset that belongs to this run, by topic and partition; 0 where it has none."""

RAW_KINDS: tuple[TopicKind, TopicKind, TopicKind] = ("clicks", "purchases", "reviews")
"""In the order of `Topics.raw_events`."""


def start_here(kafka: KafkaConfig) -> Start:
    """The mark to set before the play sends its first record."""
    topics = Topics(kafka.topic_prefix)
    return end_offsets(kafka, [topics.full(spec) for spec in SPECS])


def is_mine(start: Start, place: Place) -> bool:
    """Whether a record belongs to this run."""
    return place.offset >= start.get((place.topic, place.partition), 0)


def refused_places(dead: Iterable[Placed]) -> set[Place]:
    """The places of the refused records, from the dead letters' headers."""
    found = set()
    for _, record in dead:
        headers = {name: value or b"" for name, value in record.headers}
        topic = headers["__connect.errors.topic"].decode()
        partition = int(headers["__connect.errors.partition"])
        found.add(Place(topic, partition, int(headers["__connect.errors.offset"])))
    return found


def read_sent(kind: TopicKind, placed: Placed) -> Sent:
    """Whose event a raw record says it is; nobody's, if the rules of ingest refuse it."""
    place, record = placed
    try:
        event = parse_event(
            kind,
            record.value,
            source_of(record, place.topic, place.partition),
            record.timestamp,
            record.timestamp,
        )
    except BadRecord:
        return Sent(place, None)
    return Sent(place, (event.user_id, event.event_id))


@dataclass
class EventsRead:
    """What lies on `events`.

    `accepted` names the raw record from which each event was first accepted, whichever run it was;
    `mine` holds this run's events, each once; `repeats` counts what was written again.
    """

    accepted: dict[EventKey, str] = field(default_factory=dict)
    mine: list[Applied] = field(default_factory=list)
    repeats: int = 0


def read_events(placed: Iterable[Placed], start: Start) -> EventsRead:
    """Take in `events`, in offset order along each partition; a user is on one partition."""
    read = EventsRead()
    for place, record in placed:
        event = decode_event(record.value or b"")
        key = (event.user_id, event.event_id)
        source = read.accepted.get(key)
        if source is None:
            read.accepted[key] = event.source
            if is_mine(start, place):
                read.mine.append(Applied(*key, event.received_ms, place.partition, place.offset))
        elif source == event.source and is_mine(start, place):
            read.repeats += 1
    return read


def read_examples(placed: Iterable[Placed], start: Start) -> tuple[list[Applied], set[EventKey]]:
    """Collect this run's examples, each once, and the keys of all that there are."""
    examples: dict[EventKey, Applied] = {}
    seen: set[EventKey] = set()
    for place, record in placed:
        example = decode_example(record.value or b"")
        key = (example.user_id, example.event_id)
        seen.add(key)
        if is_mine(start, place):
            examples.setdefault(
                key, Applied(*key, example.received_ms, example.partition, example.offset)
            )
    return list(examples.values()), seen


@dataclass
class AnswersRead:
    """What answers this run got; a repeated one has the same id."""

    answers: list[Answer] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    pushed: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)


def read_answers(placed: Iterable[Placed]) -> AnswersRead:
    """Take in `recommendations`."""
    read = AnswersRead()
    for _, record in placed:
        answer = decode_recommendation(record.value or b"")
        read.ids.add(answer.recommendation_id)
        if answer.trigger == "event":
            read.pushed.add(answer.recommendation_id)
        if answer.request_id is not None:
            read.answered.add(answer.request_id)
        read.answers.append(
            Answer(answer.user_id, record.timestamp, answer.seen_event_id, answer.model_version)
        )
    return read


def request_ids(placed: Iterable[Placed], refused: Collection[Place]) -> list[str]:
    """The ids of the requests that ought to be answered."""
    return [
        msgspec.json.decode(record.value or b"{}")["request_id"]
        for place, record in placed
        if place not in refused
    ]


def audit(
    kafka: KafkaConfig, start: Start, lag: Mapping[str, int], prequential: Mapping[str, float]
) -> Figures:
    """Read the topics and say what became of everything that was sent since `start`.

    Parameters
    ----------
    kafka
        The broker and the topics' prefix.
    start
        Where this run begins, see `start_here`.
    lag
        Unread records, by topic.
    prequential
        The learner's gauge `tidemill_prequential_ndcg10` by model; empty if it can't be asked,
        then the newest published version speaks.
    """
    topics = Topics(kafka.topic_prefix)

    def mine(topic: str) -> Iterator[Placed]:
        return (placed for placed in read_topic(kafka, topic) if is_mine(start, placed.place))

    refused = refused_places(read_topic(kafka, topics.dead_letters))
    events = read_events(read_topic(kafka, topics.events), start)
    examples, profiled = read_examples(read_topic(kafka, topics.examples), start)
    answers = read_answers(mine(topics.recommendations))
    requested = request_ids(mine(topics.requests), refused)
    versions = {
        version.version: version
        for _, record in read_topic(kafka, topics.adapters)
        if record.value is not None
        for version in [decode_adapter(record.value)]
    }
    published = {decode_adapter(r.value).version for _, r in mine(topics.adapters) if r.value}
    shifts = [decode_shift(record.value or b"") for _, record in mine(topics.interest_shifts)]

    fates = Fates()
    for kind, topic in zip(RAW_KINDS, topics.raw_events, strict=True):
        sent = (read_sent(kind, placed) for placed in mine(topic))
        fates += decide(sent, events.accepted, refused)
    elsewhere = Counter(
        place.topic
        for place in refused
        if is_mine(start, place) and place.topic not in topics.raw_events
    )
    newest = versions[max(versions)] if versions else None
    ndcg10, ndcg10_popularity, ndcg10_from = accuracy(newest, prequential)
    learnt_until = {
        number: {int(partition): offset for partition, offset in version.offsets.items()}
        for number, version in versions.items()
    }
    return Figures(
        events=fates.events,
        accepted=fates.accepted,
        duplicates=fates.duplicates,
        dead_letters=fates.dead_letters,
        lost=len(fates.lost),
        repeats=events.repeats,
        dead_letters_elsewhere=dict(elsewhere),
        examples=len(examples),
        unprofiled=sum((e.user_id, e.event_id) not in profiled for e in events.mine),
        requests=len(requested),
        unanswered=sum(request not in answers.answered for request in requested),
        recommendations=len(answers.ids),
        pushed=len(answers.pushed),
        lag=dict(sorted(lag.items())),
        adapter_versions=len(published),
        adapter_version=newest.version if newest else None,
        shifts=len({(shift.user_id, shift.event_id) for shift in shifts}),
        ndcg10=ndcg10,
        ndcg10_popularity=ndcg10_popularity,
        ndcg10_from=ndcg10_from,
        event_to_recommendation_ms=summary(
            events_to_answers_ms(events.mine, answers.answers), 50, 99
        ),
        event_to_weights_s=summary(
            events_to_weights_s(examples, learnt_until, answers.answers), 50, 95
        ),
    )


def accuracy(
    newest: AdapterVersion | None, prequential: Mapping[str, float]
) -> tuple[float | None, float | None, str]:
    """NDCG@10 of the learner and of popularity, and who says so.

    >>> accuracy(None, {"online": 0.2, "popularity": 0.1})
    (0.2, 0.1, 'metrics')
    >>> accuracy(None, {})
    (None, None, 'adapters')
    """
    if "online" in prequential:
        return prequential["online"], prequential.get("popularity"), "metrics"
    if newest is None:
        return None, None, "adapters"
    return newest.ndcg10, newest.ndcg10_popularity, "adapters"
