"""A broker of the bench's own, and topics filled as fast as it takes them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping

from kafka.admin import KafkaAdminClient

from infra.bench.bar import Run
from infra.broker import EmbeddedKafka
from stream.connect import KafkaConfig
from stream.outgoing import Outgoing
from stream.publish import Publisher

CALL = 5_000
"""Records of one call to the publisher: some 600 kB of small clicks."""


@contextlib.contextmanager
def broker(run: Run, topics: Mapping[str, int] | None = None) -> Iterator[KafkaConfig]:
    """Start a broker below the run's folder, with topics of so many partitions and no prefix."""
    with EmbeddedKafka(run.folder / "broker") as kafka:
        run.say("the broker is up")
        if topics:
            create(kafka.bootstrap_servers, topics)
        yield KafkaConfig(bootstrap_servers=kafka.bootstrap_servers, topic_prefix="")


def create(servers: str, topics: Mapping[str, int]) -> None:
    """Make topics of so many partitions, without replicas."""
    admin = KafkaAdminClient(bootstrap_servers=servers)
    try:
        wanted = {n: {"num_partitions": p, "replication_factor": 1} for n, p in topics.items()}
        admin.create_topics(wanted)
    finally:
        admin.close()


async def fill(kafka: KafkaConfig, topic: str, records: Iterable[Outgoing]) -> int:
    """Publish records, all of them acknowledged; says how many there were."""
    publisher, count, left = Publisher(kafka), 0, iter(records)
    try:
        while call := list(itertools.islice(left, CALL)):
            await publisher.publish(topic, call)
            count += len(call)
    finally:
        await publisher.stop()
    return count
