"""Topics on the broker: create what is missing, describe what is there."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence

import msgspec
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import InvalidReplicationFactorError, KafkaError, TopicAlreadyExistsError

from stream.access import check_access, refusal
from stream.connect import KafkaConfig
from stream.errors import Halt, Unavailable
from stream.topics import SPECS, Topics, TopicSpec

CONNECT_TIMEOUT_MS = 10_000
"""A broker on the same network answers in milliseconds, one that starts takes some seconds."""


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker says about one topic."""

    name: str
    summary: str
    partitions: int
    records: int
    bytes: int
    config: dict[str, str]


@contextlib.contextmanager
def connect(kafka: KafkaConfig) -> Iterator[KafkaAdminClient]:
    """An admin client; what goes wrong comes out as `Unavailable`, with the broker's address."""
    try:
        # Asked by hand first: kafka-python tries for the whole time-out, and leaks its sockets.
        _any_listens(kafka.servers)
        check_access(kafka)
        admin = KafkaAdminClient(**kafka.client_settings(), bootstrap_timeout_ms=CONNECT_TIMEOUT_MS)
    except (KafkaError, OSError, ValueError) as error:
        msg = (
            f"no Kafka broker answers at {kafka.bootstrap_servers} ({error}): is it running, and "
            "is the address right (--bootstrap-servers HOST:PORT)?"
        )
        raise Unavailable(msg) from error
    try:
        yield admin
    except KafkaError as error:
        if refused := refusal(error, kafka):
            raise refused from error
        msg = f"the broker at {kafka.bootstrap_servers} refused or did not answer: {error}"
        raise Unavailable(msg) from error
    finally:
        admin.close()


def create_topics(kafka: KafkaConfig) -> list[str]:
    """Create the topics that are missing and return their names; the others stay as they are.

    Raises
    ------
    Halt
        If a topic has other partitions than `kafka.partitions`: a user's records would no longer
        be on the same partition number of all topics.
    Unavailable
        If no broker answers.
    """
    topics = Topics(kafka.topic_prefix)
    with connect(kafka) as admin:
        known = set(admin.list_topics())
        missing = [spec for spec in SPECS if topics.full(spec) not in known]
        if missing:
            try:
                # Another process may create them at the same moment: then they are there too.
                with contextlib.suppress(TopicAlreadyExistsError):
                    admin.create_topics(
                        {topics.full(spec): _shape(spec, kafka) for spec in missing}
                    )
                admin.wait_for_topics([topics.full(spec) for spec in SPECS])
            except InvalidReplicationFactorError as error:
                msg = (
                    f"kafka.replication is {kafka.replication}, the cluster at "
                    f"{kafka.bootstrap_servers} has fewer brokers; set it lower"
                )
                raise Halt(msg) from error
        counts = partition_counts(admin, [topics.full(spec) for spec in SPECS])
    for name, count in counts.items():
        if count != kafka.partitions:
            msg = (
                f"topic {name} has {count} partitions, kafka.partitions is {kafka.partitions}: "
                f"set it to {count}, choose another kafka.topic_prefix, or start with --fresh"
            )
            raise Halt(msg)
    return [topics.full(spec) for spec in missing]


def describe_topics(kafka: KafkaConfig) -> list[TopicState]:
    """Partitions, records (offsets in use), bytes on disk and settings of the topics there are."""
    topics = Topics(kafka.topic_prefix)
    with connect(kafka) as admin:
        known = set(admin.list_topics())
        specs = [spec for spec in SPECS if topics.full(spec) in known]
        names = [topics.full(spec) for spec in specs]
        counts = partition_counts(admin, names)
        places = [TopicPartition(name, p) for name in names for p in range(counts[name])]
        first = offsets(admin, places, OffsetSpec.EARLIEST)
        ends = offsets(admin, places, OffsetSpec.LATEST)
        sizes = _bytes_on_disk(admin)
    return [
        TopicState(
            name=name,
            summary=spec.summary,
            partitions=counts[name],
            records=sum(ends[p] - first[p] for p in places if p.topic == name),
            bytes=sizes.get(name, 0),
            config=dict(spec.config),
        )
        for spec, name in zip(specs, names, strict=True)
    ]


def partition_counts(admin: KafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    """The number of partitions of topics that exist."""
    found = admin.describe_topics(list(names)) if names else []
    return {topic["name"]: len(topic["partitions"]) for topic in found if not topic["error_code"]}


def offsets(
    admin: KafkaAdminClient, places: Sequence[TopicPartition], end: OffsetSpec
) -> dict[TopicPartition, int]:
    """The first or the next offset of each partition."""
    if not places:
        return {}
    found = admin.list_partition_offsets(dict.fromkeys(places, end))
    return {place: answer.offset for place, answer in found.items()}


def _any_listens(servers: Sequence[str]) -> None:
    """Raise the last server's error if none takes a connection."""
    for place, server in enumerate(servers, start=1):
        host, _, port = server.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
        except (OSError, ValueError):
            if place == len(servers):
                raise
        else:
            return


def _shape(spec: TopicSpec, kafka: KafkaConfig) -> dict[str, object]:
    return {
        "num_partitions": kafka.partitions,
        "replication_factor": kafka.replication,
        "configs": dict(spec.config),
    }


def _bytes_on_disk(admin: KafkaAdminClient) -> dict[str, int]:
    """Bytes by topic, all replicas together."""
    sizes: dict[str, int] = {}
    for broker in admin.describe_log_dirs():
        for folder in broker["log_dirs"]:
            for topic in folder["topics"]:
                used = sum(partition["partition_size"] for partition in topic["partitions"])
                sizes[topic["name"]] = sizes.get(topic["name"], 0) + used
    return sizes
