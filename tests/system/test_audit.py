"""The audit on a real broker: a story is written into the topics by hand, and read back."""

from __future__ import annotations

from kafka import KafkaProducer

from infra.demo.audit import audit, start_here
from infra.demo.listen import Listener
from stream.batching import PlainRecord
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.deadletter import dead_letter
from stream.errors import BadRecord
from stream.events import (
    AdapterVersion,
    Click,
    Event,
    Example,
    Recommendation,
    Request,
    json_encode,
    msgpack_encode,
)
from stream.topics import Topics

T0 = SystemClock().now_ms() - 60_000
"""The beginning of the story: brokers refuse times of the future, and forget those long past."""


class Story:
    """Writes to partition 0 of every topic, at times that the reader can see."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._topics = Topics(kafka.topic_prefix)
        self._producer = KafkaProducer(**kafka.client_settings(), acks="all")

    def end(self) -> None:
        """Disconnect."""
        self._producer.close()

    def write(self, topic: str, value: bytes | None, ms: int, **more: object) -> int:
        """Write a record `ms` after the beginning; its offset."""
        future = self._producer.send(
            f"{self._topics.prefix}{topic}", value=value, partition=0, timestamp_ms=T0 + ms, **more
        )
        offset: int = future.get(timeout=10).offset
        return offset

    def click(self, user_id: str, event_id: str, ms: int) -> int:
        """A raw click."""
        click = Click(user_id=user_id, item_id="tea", ts=T0 + ms, event_id=event_id)
        return self.write("clicks", json_encode(click), ms)

    def accept(self, user_id: str, event_id: str, origin: int, ms: int, again: bool = False) -> int:
        """What ingest and profile write for a click; `again` is a repeat, which profile sees."""
        event = Event(
            event_id=event_id,
            user_id=user_id,
            item_id="tea",
            kind="click",
            ts_ms=T0 + ms,
            source=f"{self._topics.clicks}-0-{origin}",
            received_ms=T0 + ms,
        )
        offset = self.write("events", json_encode(event), ms)
        if again:
            return offset
        example = Example(
            event_id=event_id,
            user_id=user_id,
            item_id="tea",
            kind="click",
            ts_ms=T0 + ms,
            received_ms=T0 + ms,
            partition=0,
            offset=offset,
            history=(),
            user_events=0,
        )
        self.write("examples", msgpack_encode(example), ms)
        return offset

    def refuse(self, origin: int, value: bytes, ms: int) -> None:
        """The dead letter of a click."""
        record = PlainRecord(None, value, origin, T0 + ms)
        error = BadRecord("value", value, "JSON", "not_json")
        letter = dead_letter(record, self._topics.clicks, 0, "ingest", error, T0 + ms)
        self.write("dead-letters", letter.value, ms, headers=list(letter.headers))

    def publish(self, version: int, until: int, ms: int) -> None:
        """A model version that has learnt the events before offset `until`."""
        adapter = AdapterVersion(
            model="m",
            version=version,
            path="",
            sha256="",
            parent=None,
            offsets={"0": until},
            learnt=until,
            created_ms=T0 + ms,
            ndcg10=0.2,
            ndcg10_popularity=0.1,
        )
        self.write("adapters", json_encode(adapter), ms, key=b"m")

    def answer(
        self, request_id: str | None, user_id: str, seen: str, version: int | None, ms: int
    ) -> None:
        """A recommendation."""
        answer = Recommendation(
            recommendation_id=f"rec-{ms}",
            request_id=request_id,
            user_id=user_id,
            ts_ms=T0 + ms,
            items=(),
            path="model",
            model_version=version,
            trigger="request" if request_id else "event",
            seen_event_id=seen,
        )
        self.write("recommendations", json_encode(answer), ms)


def test_the_topics_tell_the_whole_story(kafka_config: KafkaConfig) -> None:
    story = Story(kafka_config)
    yesterday = story.click("ann", "e0", 0)
    story.accept("ann", "e0", yesterday, 0)
    start = start_here(kafka_config)
    listener = Listener(kafka_config, start)
    listener.asked("q1")
    listener.asked("q2")
    listener.start()

    first = story.click("ann", "e1", 1_000)
    story.click("ann", "e1", 1_100)  # sent twice
    story.click("ann", "e0", 1_200)  # yesterday's, sent again
    broken = story.write("clicks", b"rubbish", 1_300)
    story.refuse(broken, b"rubbish", 1_310)
    story.refuse(broken, b"rubbish", 1_320)  # by a role that was killed in between
    lost = story.click("bob", "e1", 1_400)
    at = story.accept("ann", "e1", first, 1_000)
    story.accept("ann", "e1", first, 1_000, again=True)  # ingest was killed in between
    for request_id in ("q1", "q2"):
        request = Request(request_id=request_id, user_id="ann")
        story.write("requests", json_encode(request), 1_500)
    story.answer(None, "ann", "e1", None, 1_250)
    story.publish(1, at + 1, 2_000)
    story.answer("q1", "ann", "e1", 1, 3_500)
    story.end()

    figures = audit(kafka_config, start, {"clicks": 0}, {})

    assert lost == 5
    assert (figures.events, figures.accepted, figures.duplicates, figures.dead_letters) == (
        5,
        1,
        2,
        1,
    )
    assert (figures.lost, figures.repeats, figures.examples) == (1, 1, 1)
    assert (figures.requests, figures.unanswered) == (2, 1)
    assert (figures.recommendations, figures.pushed) == (2, 1)
    assert (figures.adapter_versions, figures.adapter_version) == (1, 1)
    assert (figures.ndcg10, figures.ndcg10_popularity) == (0.2, 0.1)
    assert figures.event_to_recommendation_ms == {"p50": 250, "p99": 250, "n": 1}
    assert figures.event_to_weights_s == {"p50": 2.5, "p95": 2.5, "n": 1}
    assert len(figures.faults()) == 2

    while listener.answers < 2 or listener.newest is None:
        assert listener.failure is None
    listener.stop()
    assert listener.open_requests == 1
    assert listener.newest_in_use
    assert listener.all_published
    assert [answer.request_id for answer in listener.take()] == [None, "q1"]
