"""Records of one partition in as few Kafka batches as they fit into, filled without detours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

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
