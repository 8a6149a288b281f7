"""How far the consumer groups are, asked of the brokers past every network fault."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from infra.lag import READS
from stream.connect import KafkaConfig


class Sample(NamedTuple):
    """What is committed by each group, and where each partition ends, at a moment."""

    at_s: float
    committed: Mapping[str, Mapping[TopicPartition, int]]
    ends: Mapping[TopicPartition, int]

    def lag(self, group: str, places: Collection[TopicPartition] | None = None) -> int:
        """Records not yet committed by a group, of some partitions or of all that it reads."""
        committed = self.committed[group]
        return sum(
            max(0, self.ends.get(place, 0) - offset)
            for place, offset in committed.items()
            if places is None or place in places
        )

    def progress(self, group: str) -> int:
        """A number that rises whenever the group commits."""
        return sum(self.committed[group].values())


class Watch:
    """Asks the brokers; one call at a time. Answers `None` while they are at odds."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._admin: KafkaAdminClient | None = None
        self._places = {
            group: [
                TopicPartition(f"{kafka.topic_prefix}{topic}", partition)
                for topic in topics
                for partition in range(kafka.partitions)
            ]
            for group, topics in READS.items()
        }

    def look(self) -> Sample | None:
        """What holds now."""
        try:
            admin = self._connected()
            committed = {
                group: self._committed(admin, group, places)
                for group, places in self._places.items()
            }
            wanted = {
                place: OffsetSpec.LATEST for places in self._places.values() for place in places
            }
            found = admin.list_partition_offsets(wanted)
            ends = {place: answer.offset for place, answer in found.items()}
        except (KafkaError, OSError):
            self.close()
            return None
        return Sample(time.monotonic(), committed, ends)

    def assigned(self, group: str, instance: str) -> set[TopicPartition]:
        """The partitions that a member of a group has, as the group's coordinator knows it."""
        name = f"{self._kafka.topic_prefix}{group}"
        try:
            members = self._connected().describe_groups([name])[name]["members"]
        except (KafkaError, OSError):
            self.close()
            return set()
        return {
            TopicPartition(assigned["topic"], number)
            for member in members
            if member["group_instance_id"] == instance
            for assigned in (member["member_assignment"] or {}).get("assigned_partitions", [])
            for number in assigned["partitions"]
        }

    def close(self) -> None:
        """Give the connection back."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def _connected(self) -> KafkaAdminClient:
        if self._admin is None:
            self._admin = KafkaAdminClient(
                bootstrap_servers=self._kafka.servers,
                bootstrap_timeout_ms=10_000,
                request_timeout_ms=5_000,
            )
        return self._admin

    def _committed(
        self, admin: KafkaAdminClient, group: str, places: list[TopicPartition]
    ) -> dict[TopicPartition, int]:
        name = f"{self._kafka.topic_prefix}{group}"
        found = admin.list_group_offsets({name: places})[name]
        return {place: max(0, found[place].offset) if place in found else 0 for place in places}
