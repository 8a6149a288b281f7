"""The producing edge: records go out, and `send` returns once every one of them is acked."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from serving.config import ServingConfig
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.outgoing import Outgoing

_log = logging.getLogger(__name__)

_BATCH_BYTES = 256 * 1024
"""Answers of one partition sent at once: a micro-batch of 128 answers is about 200 kB."""


class Outbox:
    """Sends answers and dead letters, acknowledged by all replicas, keyed as Java clients do.

    Parameters
    ----------
    kafka
        Where the broker is.
    config
        How long an acknowledgement may take.
    """

    def __init__(self, kafka: KafkaConfig, config: ServingConfig) -> None:
        self._kafka = kafka
        self._timeout_s = config.send_timeout_s
        self._longest_wait_s = config.retry_longest_s
        self._producer: Any = None

    def send(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Send records to one topic and wait for all of them.

        Raises
        ------
        Unavailable
            If one of them is not acked in time. Send all of them again: some may then be there
            twice, with the same content.
        """
        if not records:
            return
        try:
            producer = self._connected()
            futures = [
                producer.send(
                    topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    partition=record.partition,
                    timestamp_ms=record.timestamp_ms,
                )
                for record in records
            ]
            producer.flush(timeout=self._timeout_s)
            for future in futures:
                future.get(timeout=0)
        except KafkaError as error:
            self._drop()
            msg = f"{len(records)} records for {topic} not acked: {type(error).__name__}: {error}"
            raise Unavailable(msg) from error

    def close(self) -> None:
        """Close the connection; everything that `send` returned for is acked."""
        if self._producer is not None:
            self._producer.close(timeout=5)
            self._producer = None

    def _connected(self) -> Any:
        if self._producer is None:
            timeout_ms = round(self._timeout_s * 1000)
            self._producer = KafkaProducer(
                **self._kafka.client_settings(),
                acks="all",
                client_id="tidemill-serving",
                batch_size=_BATCH_BYTES,
                reconnect_backoff_max_ms=round(self._longest_wait_s * 1000),
                max_block_ms=timeout_ms,
                request_timeout_ms=max(1_000, timeout_ms // 2),
                delivery_timeout_ms=max(1_000, timeout_ms),
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        return self._producer

    def _drop(self) -> None:
        """Start over with a new producer: an idempotent one does not recover from a lost batch."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError):
                producer.close(timeout=0)
