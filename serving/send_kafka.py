"""The producing edge: answers and the offsets of what they answer go out in one transaction.

Readers of `recommendations` with `isolation_level=read_committed` see an answer exactly when the
group's offset is past its request. What a crash, a lost connection or a frozen process leaves open
is undone by the broker: when the same `serving.instance` starts again, or after
`serving.session_timeout_s`.

The offsets carry the group's generation in which their records were read (KIP-447). A process that
was frozen while the group gave its partitions to another is refused, and its answers with it.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    KafkaError,
    KafkaTimeoutError,
    UnknownMemberIdError,
)
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from serving.config import ServingConfig
from stream.connect import KafkaConfig
from stream.errors import Halt, Unavailable
from stream.outgoing import Outgoing

_log = logging.getLogger(__name__)

_BATCH_BYTES = 256 * 1024
"""Answers of one partition sent at once: a micro-batch of 128 answers is about 200 kB."""

_BACKOFF_MS = 5
"""The pause before a request of a transaction is repeated. One is repeated often: a transaction
right after another finds the broker busy with the end of the first, for a few milliseconds."""


class Moved(Exception):
    """The group has given our partitions to others: they answer what we have in hand."""


class Outbox:
    """Sends answers and dead letters, keyed as Java clients do, with offsets, all or nothing.

    Parameters
    ----------
    kafka
        Where the broker is.
    config
        How long an acknowledgement may take.
    """

    def __init__(self, kafka: KafkaConfig, config: ServingConfig) -> None:
        self._kafka = kafka
        self._instance = config.instance
        self._name = f"{kafka.topic_prefix}serving-{config.instance or uuid.uuid4().hex}"
        self._timeout_s = config.send_timeout_s
        self._open_s = config.session_timeout_s
        self._longest_wait_s = config.retry_longest_s
        self._producer: _Transactions | None = None

    def open(self) -> None:
        """Connect; whatever was left open under our name is finished or undone then.

        Raises
        ------
        Unavailable
            If the broker doesn't answer.
        """
        if self._producer is not None:
            return
        try:
            self._producer = self._made()
            self._producer.init_transactions()
        except KafkaError as error:
            self._drop()
            msg = f"no transactions now: {type(error).__name__}: {error}"
            raise Unavailable(msg) from error

    def commit(
        self,
        records: Mapping[str, Sequence[Outgoing]],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: ConsumerGroupMetadata,
    ) -> None:
        """Send records by topic, and commit offsets as a member of the group.

        Raises
        ------
        Moved
            If the group has gone on without us. Nothing was sent, and nothing must be sent again.
        Unavailable
            If the broker doesn't say that all is done. Either all is or nothing: ask the group's
            offsets after the next `open`.
        Halt
            If another process works under the same `serving.instance`.
        """
        self.open()
        producer = self._producer
        assert producer is not None
        try:
            producer.begin_transaction()
            futures = [
                producer.send(
                    topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    partition=record.partition,
                    timestamp_ms=record.timestamp_ms,
                )
                for topic, outgoing in records.items()
                for record in outgoing
            ]
            deadline_s = time.monotonic() + self._timeout_s
            producer.send_offsets(offsets, member, self._timeout_s)
            producer.flush(timeout=max(0.1, deadline_s - time.monotonic()))
            for future in futures:
                future.get(timeout=0)
            producer.end(max(0.1, deadline_s - time.monotonic()))
        except (CommitFailedError, IllegalGenerationError, UnknownMemberIdError) as error:
            self._drop()
            raise Moved(str(error)) from error
        except FencedInstanceIdError as error:
            self._drop()
            msg = (
                f"another process works as serving.instance {self._instance!r}: give each its own "
                "name, or stop this one"
            )
            raise Halt(msg) from error
        except KafkaError as error:
            self._drop()
            count = sum(map(len, records.values()))
            msg = f"{count} records not sent: {type(error).__name__}: {error}"
            raise Unavailable(msg) from error

    def close(self) -> None:
        """Close the connection; everything that `commit` returned for is there to stay."""
        if self._producer is not None:
            self._producer.close(timeout=5)
            self._producer = None

    def _made(self) -> _Transactions:
        timeout_ms = round(self._timeout_s * 1000)
        return _Transactions(
            **self._kafka.client_settings(),
            acks="all",
            client_id="tidemill-serving",
            transactional_id=self._name,
            transaction_timeout_ms=round(self._open_s * 1000),
            batch_size=_BATCH_BYTES,
            retry_backoff_ms=_BACKOFF_MS,
            reconnect_backoff_max_ms=round(self._longest_wait_s * 1000),
            max_block_ms=timeout_ms,
            request_timeout_ms=max(1_000, timeout_ms // 2),
            delivery_timeout_ms=max(1_000, timeout_ms),
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def _drop(self) -> None:
        """Start over with a new producer.

        One that failed keeps the offsets of the failed transaction, and would commit them with the
        next (`_pending_txn_offset_commits` outlives an abort in kafka-python 3.0).
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError):
                producer.close(timeout=0)


class _Transactions(KafkaProducer):
    """A producer that doesn't wait for ever, as kafka-python's own calls do without a broker."""

    def send_offsets(
        self,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        member: ConsumerGroupMetadata,
        timeout_s: float,
    ) -> None:
        """As `send_offsets_to_transaction`."""
        asked = self._transaction_manager.send_offsets_to_transaction(dict(offsets), member)
        self._wait(asked, timeout_s, "offsets")

    def end(self, timeout_s: float) -> None:
        """As `commit_transaction`."""
        self._wait(self._transaction_manager.begin_commit(), timeout_s, "the transaction's end")

    def _wait(self, asked: Any, timeout_s: float, what: str) -> None:
        self._sender.wakeup()
        if not asked.wait(timeout_ms=timeout_s * 1000):
            msg = f"{what} not acked in {timeout_s:.1f} s"
            raise KafkaTimeoutError(msg)
