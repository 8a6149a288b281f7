"""The agent of ingest: raw topics in, `events` and `dead-letters` out.

When an offset counts as done: after the broker acked every event and every dead letter of its run.

1. The run is sorted out (`stream.ingest`). A record on which our own code fails is found by
   `stream.refusals`, and the rest of its run goes on.
2. Its events are published, keyed by user.
3. Its dead letters are published.
4. Its events are remembered, its records counted.
5. The run is acknowledged.

A crash before 5 repeats the run: its events may then be on `events` twice, and the profile, which
remembers them per user, applies each once.
"""

from __future__ import annotations

from collections.abc import Collection

from stream.app import StreamApp, guarded, run_topic
from stream.batching import Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.deadletter import publish_letters
from stream.ingest import ROLE, Ingest, IngestConfig, IngestResult
from stream.metrics import (
    DEAD_LETTERS,
    EVENT_AGE_SECONDS,
    INGEST_RECORDS,
    RUN_RECORDS,
    RUN_SECONDS,
)
from stream.outgoing import Publishes, RecordTooLarge
from stream.parse import TopicKind
from stream.refusals import Refusals
from stream.tenants import ONE_SHOP
from stream.topics import RAW_EVENT_TOPICS, Topics

AGES_PER_RUN = 32
"""Records of a run whose age is measured, evenly spread: measuring all would cost a tenth."""


class IngestAgent:
    """The agent's function, free of Faust: `await agent(run)`.

    Raises `Unavailable` where the broker is away; the same run may then be given again.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        config: IngestConfig,
        publisher: Publishes,
        clock: Clock,
        *,
        tenants: Collection[str] = ONE_SHOP,
    ) -> None:
        topics = Topics(kafka.topic_prefix)
        self._events, self._dead_letters = topics.events, topics.dead_letters
        self._kinds: dict[str, TopicKind] = {
            topics.clicks: "clicks",
            topics.purchases: "purchases",
            topics.reviews: "reviews",
        }
        self._ingest = Ingest(self._kinds, config, tenants)
        self._publisher = publisher
        self._clock = clock

    async def __call__(self, run: Run) -> None:
        """Take a run through all its steps but the acknowledgement."""
        started_s = self._clock.monotonic_s()
        result = self._ingest.take(run, self._clock.now_ms())
        try:
            await self._publish_events(result)
            await publish_letters(self._publisher, self._dead_letters, result.dead_letters)
        except BaseException:
            self._ingest.abandon(result)
            raise
        self._ingest.done(result)
        self._count(result, self._clock.monotonic_s() - started_s)

    def prepare(self, run: Run) -> None:
        """Sort a run out and forget it again: what fails on it here has had no effect."""
        self._ingest.abandon(self._ingest.take(run, self._clock.now_ms()))

    def count_refused(self, topic: str) -> None:
        """Count a record that became a dead letter because our own code failed on it."""
        INGEST_RECORDS.labels(topic=self._kinds[topic], outcome="dead_letter").inc()

    async def _publish_events(self, result: IngestResult) -> None:
        while True:
            try:
                return await self._publisher.publish(self._events, result.events)
            except RecordTooLarge as error:
                self._ingest.refuse(result, error.index, error, self._clock.now_ms())

    def _count(self, result: IngestResult, seconds: float) -> None:
        records = result.run.records
        RUN_RECORDS.labels(stage=ROLE).observe(len(records))
        RUN_SECONDS.labels(stage=ROLE).observe(seconds)
        counts = {
            "accepted": len(result.events),
            "duplicate": result.duplicates,
            "dead_letter": len(result.dead_letters),
        }
        for outcome, count in counts.items():
            INGEST_RECORDS.labels(topic=result.kind, outcome=outcome).inc(count)
        for reason, count in result.refused.items():
            DEAD_LETTERS.labels(role=ROLE, reason=reason).inc(count)
        now_ms = self._clock.now_ms()
        age_s = EVENT_AGE_SECONDS.labels(stage=ROLE)
        for place in result.places[:: max(1, len(result.places) // AGES_PER_RUN)]:
            if records[place].timestamp > 0:
                age_s.observe(max(0, now_ms - records[place].timestamp) / 1000)


def add_ingest(  # noqa: PLR0913 - the parts that ingest is made of
    app: StreamApp,
    kafka: KafkaConfig,
    config: IngestConfig,
    publisher: Publishes,
    clock: Clock,
    *,
    tenants: Collection[str] = ONE_SHOP,
) -> None:
    """Put ingest on an app: one Faust agent per raw topic, so that none waits for another."""
    agent = IngestAgent(kafka, config, publisher, clock, tenants=tenants)
    refusals = Refusals(ROLE, kafka, publisher, clock, agent.count_refused)

    async def ingest(run: Run) -> None:
        await agent(run)

    for name in RAW_EVENT_TOPICS:
        topic = run_topic(app, f"{kafka.topic_prefix}{name}")
        app.agent(topic, name=f"ingest.{name}")(guarded(app, refusals, agent.prepare)(ingest))
