"""A process of ingest and profile: the product's agents, its refusals, and a table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from features.agent import ProfileAgent
from features.catalog import Catalog
from features.interest import InterestConfig
from features.store import OnlineStore
from stream.agent import IngestAgent
from stream.batching import Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.ingest import IngestConfig
from stream.refusals import Refusals, Sifting
from stream.topics import Topics
from tests.chaos.topic_log import changelog_topic
from tests.simulation.broker import Broker, Group, SimPublisher
from tests.simulation.loop import Point
from tests.simulation.member import Delivery, Member
from tests.simulation.table import Disk, Table

INTEREST = InterestConfig()


class ProfileWorker(Member):
    """One of the group `ingest-profile`.

    Parameters
    ----------
    disks
        What the worker's folder holds; it outlives the process.
    remembers
        Events that ingest remembers: few, so that copies get through to the profile.
    """

    make_table: type[Table] = Table

    def __init__(  # noqa: PLR0913 - a process needs that much
        self,
        name: str,
        group: Group,
        broker: Broker,
        rng: Random,
        *,
        kafka: KafkaConfig,
        disks: dict[int, Disk],
        store: OnlineStore,
        catalog: Catalog,
        clock: Clock,
        remembers: int,
    ) -> None:
        super().__init__(name, group, broker, rng)
        publisher = SimPublisher(broker, rng)
        changelog = changelog_topic(kafka.topic_prefix)
        self.table = self.make_table(broker, changelog, disks, self.in_group)
        self._events = Topics(kafka.topic_prefix).events
        self._ingest = IngestAgent(kafka, IngestConfig(seen_events=remembers), publisher, clock)
        self._profile = ProfileAgent(
            kafka=kafka,
            table=self.table,
            publisher=publisher,
            store=store,
            catalog=catalog,
            clock=clock,
            interest=INTEREST,
        )
        self._refused = {
            role: Refusals(role, kafka, publisher, clock) for role in ("ingest", "profile")
        }

    async def handle(self, run: Run, delivery: Delivery) -> None:
        """As `stream.guard` does: until it succeeds, then acknowledge."""
        profile = run.topic == self._events
        refusals = self._refused["profile" if profile else "ingest"]
        agent = self._profile if profile else self._ingest
        sifting = Sifting(refusals, run, agent, _pause, agent.prepare)
        steps: list[Callable[[], Awaitable[None]]] = [sifting, self.flush]
        while delivery.current:
            try:
                while steps:
                    await steps[0]()
                    del steps[0]
            except Unavailable:
                await Point("try again")
            else:
                delivery.ack()
                return

    async def flush(self) -> None:
        """Table changes are on the broker before a run is done."""
        await self.table.flush()

    def recover(self) -> None:
        """Bring the table up to its changelog."""
        mine = [tp for tp in self.partitions if tp[0] == self._events]
        self.table.recover([partition for _, partition in mine])
        self._profile.witness.expect({tp[1]: self.group.committed(tp) for tp in mine})


async def _pause(seconds: float) -> None:
    del seconds
    await Point("pause")
