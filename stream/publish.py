"""Publishing: records go out in per-partition batches, and `publish` returns when all are acked.

One Kafka batch per partition and call costs a fraction of one `send` per record: the record's
future, its lock and its callbacks are what makes a Python producer slow, not its bytes.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from msgspec import Meta

from stream.access import check_access, refusal
from stream.batches import by_partition, send_in_batches
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.metrics import RETRIES
from stream.murmur import partition_of
from stream.outgoing import Outgoing, RecordTooLarge
from stream.topics import LETTER_TOPIC_BYTES

__all__ = ["PublishConfig", "Publisher", "partition_of"]

LETTERS = "dead-letters"
"""The topic whose own limit is higher than the broker's."""

log = logging.getLogger(__name__)


class PublishConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How records are sent, and how long we insist."""

    compression: Annotated[
        str,
        Meta(
            description="of each batch: none, lz4, zstd, gzip or snappy; aiokafka's lz4 takes ten "
            "times as long as its zstd, for batches three times as large"
        ),
    ] = "zstd"
    max_batch_bytes: Annotated[
        int, Meta(ge=1024, description="uncompressed bytes of one batch for one partition")
    ] = 256 * 1024
    max_record_bytes: Annotated[
        int, Meta(ge=1024, description="larger records are refused; the broker's limit is 1 MiB")
    ] = 1_000_000
    request_timeout_s: Annotated[
        float, Meta(gt=0, description="wait for the broker to take one call's records")
    ] = 10.0
    attempts: Annotated[
        int, Meta(ge=1, description="tries before the broker counts as unavailable")
    ] = 5
    backoff_s: Annotated[
        float, Meta(gt=0, description="pause after the first failed try, doubled each time")
    ] = 0.2
    backoff_max_s: Annotated[float, Meta(gt=0, description="the longest pause")] = 5.0


class Publisher:
    """A producer that is idempotent, waits for all replicas, and gives up in bounded time.

    Records of one call keep their order within a partition. A call that failed may have published
    some of its records: repeat the whole call.

    Parameters
    ----------
    kafka
        Where the broker is.
    config
        Sizes, timeouts and retries.
    role
        The label of `tidemill_retries_total`.
    """

    def __init__(
        self, kafka: KafkaConfig, config: PublishConfig | None = None, *, role: str = "stream"
    ) -> None:
        self._kafka = kafka
        self._config = config or PublishConfig()
        self._retries = RETRIES.labels(role=role)
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()
        self._turn = itertools.count(random.randrange(1 << 16))

    async def start(self) -> None:
        """Connect; raises `Unavailable` when no broker answers after all tries."""
        await self._insist("connect", self._open)

    async def stop(self) -> None:
        """Close the connection; whatever was published is acked by then."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Send records and wait until the broker has acked every one.

        Raises
        ------
        RecordTooLarge
            One record exceeds the limit; found before anything is sent, except where the broker's
            own limit is lower than ours.
        Unavailable
            The broker didn't take them in bounded time.
        Halt
            The broker refuses our login or our right to the topic.
        """
        if not records:
            return
        limit = self._config.max_record_bytes
        if topic.endswith(LETTERS):
            limit = max(limit, LETTER_TOPIC_BYTES)
        roomy = limit // 4
        for index, record in enumerate(records):
            # Most are so small that their exact size needn't be known.
            small = len(record.value or b"") < roomy and len(record.key or b"") < roomy
            if (record.headers or not small) and record.size > limit:
                raise RecordTooLarge(topic, record, index, limit)
        what = f"publish {len(records)} records to {topic}"
        try:
            await self._insist(what, partial(self._send, topic, records))
        except MessageSizeTooLargeError:
            # The topic's own limit is lower: one by one, the culprit shows itself.
            for index, record in enumerate(records):
                try:
                    await self._insist(what, partial(self._send, topic, (record,)))
                except MessageSizeTooLargeError as error:
                    raise RecordTooLarge(topic, record, index, record.size - 1) from error

    async def _send(self, topic: str, records: Sequence[Outgoing]) -> None:
        producer = await self._open()
        partitions = len(await producer.partitions_for(topic))
        groups = by_partition(records, partitions, next(self._turn) % partitions)
        acks = await asyncio.gather(
            *(
                send_in_batches(producer, topic, partition, group)
                for partition, group in groups.items()
            )
        )
        await asyncio.gather(*(ack for group in acks for ack, _ in group))

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                config = self._config
                producer = AIOKafkaProducer(
                    **self._kafka.async_client_settings(),
                    acks="all",
                    enable_idempotence=True,
                    compression_type=None if config.compression == "none" else config.compression,
                    max_batch_size=config.max_batch_bytes,
                    max_request_size=2
                    * max(config.max_record_bytes, config.max_batch_bytes, LETTER_TOPIC_BYTES),
                    request_timeout_ms=int(config.request_timeout_s * 1000),
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _drop(self, reason: BaseException) -> None:
        # An idempotent producer repeats a batch for ever, and after a refused one its sequence has
        # a hole. A new producer has its own id and sequence.
        producer, self._producer = self._producer, None
        if producer is not None:
            producer._message_accumulator.fail_all(KafkaTimeoutError(str(reason)))  # noqa: SLF001
            try:
                await asyncio.wait_for(producer.stop(), self._config.request_timeout_s)
            except Exception as error:
                # Its sender stumbles (a KeyError) over a batch that it was about to try again.
                log.debug("a producer that is given up ended with %r", error)
                await producer.client.close()

    async def _insist(self, what: str, call: Callable[[], Awaitable[object]]) -> None:
        config = self._config
        pause_s = config.backoff_s
        for attempt in range(1, config.attempts + 1):
            used = self._producer
            try:
                await asyncio.wait_for(call(), config.request_timeout_s)
            except (KafkaError, TimeoutError, OSError) as error:
                if used is None or self._producer is used:
                    await self._drop(error)
                if isinstance(error, MessageSizeTooLargeError):
                    raise
                if refused := refusal(error, self._kafka):
                    raise refused from error
                # aiokafka says of a refused login only that it can't connect.
                await asyncio.to_thread(check_access, self._kafka)
                if attempt == config.attempts:
                    message = (
                        f"Kafka at {self._kafka.bootstrap_servers} did not {what} in "
                        f"{attempt} tries: {error!r}"
                    )
                    raise Unavailable(message) from error
                self._retries.inc()
                log.warning(
                    "try %d to %s failed, again in %.1f s: %r", attempt, what, pause_s, error
                )
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, config.backoff_max_s)
            else:
                return
