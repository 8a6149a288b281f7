"""How far the roles are behind: records of each topic that their consumer groups haven't read.

`recommendations`, which the profile may read, isn't among them: it is written in transactions,
whose marks have offsets as records do, so that its last offsets are never read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import GroupIdNotFoundError, RetriableError

from infra.topic_admin import connect, offsets, partition_counts
from stream.connect import KafkaConfig
from stream.topics import RAW_EVENT_TOPICS

COORDINATOR_WAIT_S = 10.0
"""A broker makes its topic of offsets when it is first asked: under a second here."""

READS: Mapping[str, tuple[str, ...]] = {
    "ingest-profile": (*RAW_EVENT_TOPICS, "documents", "events", "readings", "forget"),
    "learner": ("items", "examples", "forget"),
    "serving": ("requests",),
}
"""The topics that each role's consumer group has to read to the end, without prefix."""

OUTCOMES = "outcomes"
"""What the learner reads as well, where they are told."""


def lag(kafka: KafkaConfig, *, outcomes: bool = False) -> dict[tuple[str, str], int]:
    """Records not yet consumed, by consumer group and topic, both without prefix.

    A record counts as consumed once its offset is committed. Topics that don't exist are left out.
    With `outcomes`, the topic by which the learner calibrates is counted as well.

    Raises
    ------
    stream.errors.Unavailable
        If no broker answers.
    """
    reads = dict(READS)
    if outcomes:
        reads["learner"] += (OUTCOMES,)
    with connect(kafka) as admin:
        prefix = kafka.topic_prefix
        names = {f"{prefix}{topic}" for topics in reads.values() for topic in topics}
        counts = partition_counts(admin, sorted(names))
        places = [TopicPartition(name, p) for name, count in counts.items() for p in range(count)]
        # The committed offsets first: the other way round, a record that arrives and is consumed
        # between the two answers would be counted as read ahead of the end.
        committed = {role: _committed(admin, f"{prefix}{role}", places) for role in reads}
        first = offsets(admin, places, OffsetSpec.EARLIEST)
        ends = offsets(admin, places, OffsetSpec.LATEST)
    behind: dict[tuple[str, str], int] = {}
    for role, topics in reads.items():
        for topic in topics:
            here = [place for place in places if place.topic == f"{prefix}{topic}"]
            if here:
                behind[role, topic] = sum(
                    ends[place] - max(committed[role].get(place, 0), first[place]) for place in here
                )
    return behind


def unread(kafka: KafkaConfig, *, outcomes: bool = False) -> dict[str, int]:
    """Records not yet consumed by topic, without prefix: the most that any role has to read."""
    by_topic: dict[str, int] = {}
    for (_, topic), records in lag(kafka, outcomes=outcomes).items():
        by_topic[topic] = max(by_topic.get(topic, 0), records)
    return by_topic


def _committed(
    admin: KafkaAdminClient, group: str, places: list[TopicPartition]
) -> dict[TopicPartition, int]:
    deadline_s = time.monotonic() + COORDINATOR_WAIT_S
    while True:
        try:
            found = admin.list_group_offsets({group: places})[group]
            break
        except GroupIdNotFoundError:
            return {}  # nobody has committed anything yet
        except RetriableError:
            # A broker that has just started makes up its mind first who answers for the group.
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)
    return {place: commit.offset for place, commit in found.items() if commit.offset > 0}
