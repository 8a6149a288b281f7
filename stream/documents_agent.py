"""Who looks at `documents`: what can't be used becomes a dead letter, once.

Every serving process reads the topic whole at its start and passes over what is broken; a letter is
written here, by a consumer group, when a record comes.
"""

from __future__ import annotations

from collections.abc import Collection

from stream.app import StreamApp, guarded, run_topic
from stream.batching import Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.deadletter import dead_letter, publish_letters
from stream.errors import BadRecord
from stream.metrics import DEAD_LETTERS
from stream.outgoing import Outgoing, Publishes
from stream.parse_document import parse_document, parse_document_key
from stream.refusals import Refusals
from stream.tenants import ONE_SHOP
from stream.topics import Topics

ROLE = "documents"


class DocumentsAgent:
    """The agent's function, free of Faust: `await agent(run)`."""

    def __init__(
        self,
        kafka: KafkaConfig,
        publisher: Publishes,
        clock: Clock,
        *,
        tenants: Collection[str] = ONE_SHOP,
    ) -> None:
        self._dead_letters = Topics(kafka.topic_prefix).dead_letters
        self._publisher = publisher
        self._clock = clock
        self._tenants = tenants

    async def __call__(self, run: Run) -> None:
        """Publish a letter for each record that can't be used."""
        letters = self._letters(run)
        await publish_letters(
            self._publisher, self._dead_letters, [letter for letter, _ in letters]
        )
        for _, reason in letters:
            DEAD_LETTERS.labels(role=ROLE, reason=reason).inc()

    def prepare(self, run: Run) -> None:
        """Find out whether a run can be looked at; nothing is written."""
        self._letters(run)

    def _letters(self, run: Run) -> list[tuple[Outgoing, str]]:
        found: list[tuple[Outgoing, str]] = []
        now_ms = self._clock.now_ms()
        for record in run.records:
            try:
                if record.value is None:
                    parse_document_key(record, self._tenants)
                else:
                    parse_document(record, self._tenants)
            except BadRecord as error:
                letter = dead_letter(record, run.topic, run.partition, ROLE, error, now_ms)
                found.append((letter, error.reason))
        return found


def add_documents(
    app: StreamApp,
    kafka: KafkaConfig,
    publisher: Publishes,
    clock: Clock,
    *,
    tenants: Collection[str] = ONE_SHOP,
) -> None:
    """Put the agent on an app."""
    agent = DocumentsAgent(kafka, publisher, clock, tenants=tenants)
    refusals = Refusals(ROLE, kafka, publisher, clock)

    async def look(run: Run) -> None:
        await agent(run)

    topic = run_topic(app, Topics(kafka.topic_prefix).documents)
    app.agent(topic, name="documents")(guarded(app, refusals, agent.prepare)(look))
