"""A broker in memory: logs, consumer groups, and a publisher that sends what arrives of a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from zlib import crc32

from stream.clock import Clock
from stream.errors import Unavailable
from stream.outgoing import Outgoing
from tests.chaos.topic_log import Log, Logged
from tests.simulation.loop import Point

TP = tuple[str, int]
"""A topic and one of its partitions."""


class Broker:
    """Logs by topic and partition; keys decide partitions, offsets have no holes."""

    def __init__(self, partitions: int, clock: Clock) -> None:
        self.partitions = partitions
        self.clock = clock
        self.logs: dict[TP, list[Logged]] = defaultdict(list)
        self.committed: dict[tuple[str, TP], int] = {}

    def partition_of(self, record: Outgoing) -> int:
        """Where a record goes."""
        if record.partition is not None:
            return record.partition
        return crc32(record.key or b"") % self.partitions

    def append(self, topic: str, record: Outgoing) -> int:
        """Write a record; returns its offset."""
        partition = self.partition_of(record)
        log = self.logs[topic, partition]
        at_ms = self.clock.now_ms() if record.timestamp_ms is None else record.timestamp_ms
        headers = tuple(record.headers)
        log.append(Logged(topic, partition, len(log), record.key, record.value, at_ms, headers))
        return len(log) - 1

    def end(self, tp: TP) -> int:
        """The offset that the next record gets."""
        return len(self.logs.get(tp, ()))

    def read(self, tp: TP, offset: int, most: int) -> Sequence[Logged]:
        """Records from an offset on."""
        return self.logs[tp][offset : offset + most]

    def topic(self, name: str) -> Log:
        """All of a topic, by partition and offset."""
        found: list[Logged] = []
        for partition in range(self.partitions):
            found += self.logs.get((name, partition), [])
        return tuple(found)


class Group:
    """A consumer group: who is in it, what each reads, and whose commits count.

    A member that was left out of a generation may go on as if nothing had happened; its commits are
    refused, its records are not.
    """

    def __init__(self, name: str, topics: Sequence[str], broker: Broker) -> None:
        self.name = name
        self.topics = tuple(topics)
        self.generation = 0
        self.assigned: dict[str, list[TP]] = {}
        self._broker = broker

    def settle(self, members: Sequence[str]) -> None:
        """Begin a new generation: every topic's partitions are dealt out alike."""
        self.generation += 1
        self.assigned = {member: [] for member in members}
        if not members:
            return
        for partition in range(self._broker.partitions):
            owner = members[partition * len(members) // self._broker.partitions]
            self.assigned[owner] += [(topic, partition) for topic in self.topics]

    def committed(self, tp: TP) -> int | None:
        """The group's offset of a partition."""
        return self._broker.committed.get((self.name, tp))

    def commit(self, generation: int, offsets: dict[TP, int]) -> bool:
        """Take offsets, if they come from this generation."""
        if generation != self.generation:
            return False
        for tp, offset in offsets.items():
            self._broker.committed[self.name, tp] = offset
        return True


class SimPublisher:
    """A publisher whose records arrive in pieces: along each partition in order, or not at all."""

    def __init__(self, broker: Broker, rng: Random) -> None:
        self._broker = broker
        self._rng = rng

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Send records, with a stop before, after, and sometimes amid."""
        if not records:
            return
        await Point("publish", may_fail="broker")
        by_partition: dict[int, list[Outgoing]] = {}
        for record in records:
            by_partition.setdefault(self._broker.partition_of(record), []).append(record)
        for group in by_partition.values():
            cut = self._rng.randrange(4 * len(group))
            for place, record in enumerate(group):
                if place == cut:
                    await Point("amid publish", may_fail="broker")
                self._broker.append(topic, record)
        await Point("published", may_fail="broker")


STORE_AWAY = Unavailable("the store does not answer (drawn)")
BROKER_AWAY = Unavailable("the broker does not answer (drawn)")
