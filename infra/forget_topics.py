"""Getting records out of Kafka's files: boundaries, trims, compaction, and knowing when it is done.

Kafka deletes whole segments only, and never the one that it writes to. So a partition gets a
boundary first: a control record (the mark of an aborted transaction that never was), which no
consumer sees, begins a new segment. Then everything before it can go: from a topic with a retention
time by moving the partition's beginning, from a compacted one by tombstones.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import (
    AbortTransactionSpec,
    AlterConfigOp,
    ConfigResource,
    ConfigResourceType,
    OffsetSpec,
)
from kafka.errors import GroupIdNotFoundError

from infra.demo.reading import open_reader
from infra.topic_admin import offsets
from stream.connect import KafkaConfig
from stream.topics import SPECS

HURRY = {"file.delete.delay.ms": "1000"}
"""Of topics with a retention time, while segments are deleted."""

COMPACT = {
    "min.cleanable.dirty.ratio": "0.0",
    "max.compaction.lag.ms": "1",
    "delete.retention.ms": "0",
    "file.delete.delay.ms": "1000",
}
"""Of compacted topics, while a tombstone does its work and goes itself."""

ROLL = {"segment.ms": "1"}
"""While a boundary is written: a segment whose first record is older than this ends."""

SETTLE_S = 0.5
"""A changed setting reaches the brokers within some milliseconds; nobody tells when."""

NO_KEY = b"\0boundary"
"""No user's id: those are printable."""

SEND_TIMEOUT_S = 30.0

NOBODY = 0x7EAF_0060_7000
"""The id of the producer whose transaction is aborted; real ones count up from 0."""

POLL_MS = 200
QUIET_POLLS = 50
"""Empty polls in a row, ten seconds, after which the broker counts as too slow to say more."""

EMPTY_BYTES = 100
"""A segment that holds a boundary and nothing else takes 78."""

MARGIN_S = 15.0
"""Beyond the broker's own pace, after which its deletions count as done though not seen."""


def ends(admin: KafkaAdminClient, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """The offset after the newest record."""
    return offsets(admin, places, OffsetSpec.LATEST)


def firsts(admin: KafkaAdminClient, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """The first offset that is still there."""
    return offsets(admin, places, OffsetSpec.EARLIEST)


def partitions(names: Iterable[str], count: int) -> list[TopicPartition]:
    """All partitions of some topics."""
    return [TopicPartition(name, number) for name in names for number in range(count)]


def committed(admin: KafkaAdminClient) -> dict[str, dict[TopicPartition, int]]:
    """How far every consumer group has read, whosever it is."""
    found: dict[str, dict[TopicPartition, int]] = {}
    for group in admin.list_groups():
        name = group["group_id"]
        with contextlib.suppress(GroupIdNotFoundError):
            read = admin.list_group_offsets({name: None})[name]
            found[name] = {place: at.offset for place, at in read.items() if at.offset >= 0}
    return found


def unread(
    kafka: KafkaConfig, begin: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Where a record lies in [begin, end): offsets alone don't tell, boundaries have some too."""
    asked = [place for place in end if begin[place] < end[place]]
    if not asked:
        return {}
    found: dict[TopicPartition, int] = {}
    consumer = open_reader(kafka)
    try:
        consumer.assign(asked)
        for place in asked:
            consumer.seek(place, begin[place])
        quiet = 0
        while left := [p for p in asked if p not in found and consumer.position(p) < end[p]]:
            fetched = consumer.poll(timeout_ms=POLL_MS)
            quiet = 0 if fetched else quiet + 1
            for place, records in fetched.items():
                waiting = sum(record.offset < end[place] for record in records)
                if waiting:
                    found[place] = end[place] - records[0].offset
            if quiet > QUIET_POLLS:  # what isn't known to be read counts as unread
                found |= {place: end[place] - consumer.position(place) for place in left}
    finally:
        consumer.close()
    return found


@contextlib.contextmanager
def settings(
    admin: KafkaAdminClient, names: Iterable[str], values: Mapping[str, str]
) -> Iterator[None]:
    """Topics with other settings for a while; what a killed run has left is put right as well."""
    names = list(names)
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    described = admin.describe_configs(resources)["topic"] if names else {}
    before = {
        name: {key: kept["value"] for key, kept in described.get(name, {}).items()}
        for name in names
    }
    _set(admin, {name: dict(values) for name in names})
    try:
        yield
    finally:
        _set(admin, {name: _usual(name, values, before[name]) for name in names})


def _usual(
    name: str, values: Mapping[str, str], before: Mapping[str, str]
) -> dict[str, str | None]:
    """What a topic's settings were; ours, where a killed run has left its own."""
    spec = next((dict(spec.config) for spec in SPECS if name.endswith(spec.name)), {})
    if name.endswith("-changelog"):
        spec = next(dict(spec.config) for spec in SPECS if spec.compacted)
    return {
        key: before[key] if before.get(key, value) != value else spec.get(key)
        for key, value in values.items()
    }


def _set(admin: KafkaAdminClient, wanted: Mapping[str, Mapping[str, str | None]]) -> None:
    resources = [
        ConfigResource(
            ConfigResourceType.TOPIC,
            name,
            {
                key: (AlterConfigOp.DELETE, None) if value is None else (AlterConfigOp.SET, value)
                for key, value in values.items()
            },
        )
        for name, values in wanted.items()
        if values
    ]
    if resources:
        admin.alter_configs(resources)
        time.sleep(SETTLE_S)


def roll(admin: KafkaAdminClient, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """Begin a new segment in each partition; returns the ends, with the boundaries before them."""
    if not places:
        return {}
    with settings(admin, sorted({place.topic for place in places}), ROLL):
        for place in places:
            admin.abort_transaction(AbortTransactionSpec(place, NOBODY, 0, -1))
        return ends(admin, places)


def roll_compacted(
    kafka: KafkaConfig, admin: KafkaAdminClient, places: Sequence[TopicPartition]
) -> None:
    """Begin a new segment in partitions of a table's changelog.

    A control record would do, but once the broker has compacted it away it leaves an empty batch,
    which not every client can read. So the boundary is the tombstone of a key that no table has.
    """
    if not places:
        return
    with settings(admin, sorted({place.topic for place in places}), ROLL):
        producer = KafkaProducer(**kafka.client_settings(), acks="all")
        try:
            for place in places:
                sent = producer.send(place.topic, key=NO_KEY, value=None, partition=place.partition)
                sent.get(timeout=SEND_TIMEOUT_S)
        finally:
            producer.close(timeout=5)


def trim(admin: KafkaAdminClient, before: Mapping[TopicPartition, int]) -> int:
    """Move partitions' beginnings; returns how many offsets were given up."""
    first = firsts(admin, list(before))
    gone = {place: offset for place, offset in before.items() if offset > first[place]}
    if gone:
        admin.delete_records(gone)
    return sum(offset - first[place] for place, offset in gone.items())


class Shrinking:
    """Watches partitions until the broker has deleted the segments that it was told to.

    A partition's size only falls when segments are deleted. Where new records hide the fall, the
    broker's own pace decides: it looks every `log.retention.check.interval.ms`.

    Attributes
    ----------
    left
        The partitions that are still as large as they were.
    offsets
        How many offsets were given up; for whoever moved the beginnings.
    """

    def __init__(self, admin: KafkaAdminClient, places: Iterable[TopicPartition]) -> None:
        self.offsets = 0
        self._admin = admin
        self._sizes = self._measure(set(places))
        self._since_s = time.monotonic()
        self._pace_s = _pace_s(admin) + MARGIN_S
        self.left = {place for place, size in self._sizes.items() if size > EMPTY_BYTES}

    def look(self) -> set[TopicPartition]:
        """The partitions that are still as large as they were."""
        if time.monotonic() - self._since_s > self._pace_s:
            self.left = set()
        if self.left:
            now = self._measure(self.left)
            self.left = {p for p in self.left if now.get(p, 0) >= self._sizes[p]}
            self._sizes |= now
        return self.left

    def _measure(self, places: set[TopicPartition]) -> dict[TopicPartition, int]:
        """The largest replica of each: it is the last to shrink."""
        sizes = dict.fromkeys(places, 0)
        for broker in self._admin.describe_log_dirs():
            for folder in broker["log_dirs"]:
                for topic in folder["topics"]:
                    for part in topic["partitions"]:
                        place = TopicPartition(topic["name"], part["partition_index"])
                        if place in sizes:
                            sizes[place] = max(sizes[place], part["partition_size"])
        return sizes


def _pace_s(admin: KafkaAdminClient) -> float:
    """How often the broker looks for segments to delete."""
    name = "log.retention.check.interval.ms"
    nodes = [str(node["broker_id"]) for node in admin.describe_cluster()["brokers"]]
    resources = [ConfigResource(ConfigResourceType.BROKER, node, {name: None}) for node in nodes]
    found = admin.describe_configs(resources, config_filter="all").get("broker", {})
    paces = [int(kept[name]["value"]) for kept in found.values() if name in kept]
    return max(paces, default=300_000) / 1000
