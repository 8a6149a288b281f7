"""Records by partition, and each partition's in as few Kafka batches as they fit into."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from stream.murmur import MANY, partition_of, partitions_of
from stream.outgoing import Header, Outgoing

_NO_HEADERS: list[Header] = []


async def send_in_batches(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Outgoing]
) -> list[tuple[asyncio.Future[Any], int]]:
    """Hand the records of one partition over, in order, in as few batches as they fit.

    Returns each batch's acknowledgement, to be awaited, and how many records it holds.
    """
    acks = []
    at = 0
    while True:
        batch = producer.create_batch()
        count = fill(batch, records, at)
        ack = await producer.send_batch(batch, topic, partition=partition)
        acks.append((ack, count))
        at += count
        if at >= len(records):
            return acks


def by_partition(
    records: Sequence[Outgoing], partitions: int, keyless: int
) -> dict[int, list[Outgoing]]:
    """Part records by their partitions, in order: the given one, the key's, or `keyless`.

    >>> records = [Outgoing(b"u1", b"a"), Outgoing(None, b"b"), Outgoing(b"u1", b"c", partition=2)]
    >>> parted = by_partition(records, 4, 3)
    >>> {place: [one.value for one in group] for place, group in parted.items()}
    {0: [b'a'], 3: [b'b'], 2: [b'c']}
    """
    keys = [one.key for one in records if one.partition is None and one.key is not None]
    if len(keys) < MANY:
        found = [partition_of(key, partitions) for key in keys]
    else:
        found = partitions_of(keys, partitions)
    places = iter(found)
    groups: dict[int, list[Outgoing]] = defaultdict(list)
    for record in records:
        partition = record.partition
        if partition is None:
            partition = keyless if record.key is None else next(places)
        groups[partition].append(record)
    return groups


def fill(batch: Any, records: Sequence[Outgoing], start: int = 0) -> int:
    """Put records into an empty batch of aiokafka's, from one on; says how many it took.

    It takes one in any case: which are too large is seen before. aiokafka's own `append` does the
    same for one record, with twice as much Python around the call of its C code.
    """
    append = batch._builder.append  # noqa: SLF001
    count = 0
    for at in range(start, len(records)):
        record = records[at]
        headers = list(record.headers) if record.headers else _NO_HEADERS
        taken = append(count, record.timestamp_ms, record.key, record.value, headers)
        if taken is None:
            break
        count += 1
    batch._relative_offset = count  # noqa: SLF001
    batch.close()
    return count
