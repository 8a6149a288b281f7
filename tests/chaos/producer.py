"""The producers: records go out at a rate, in bursts, and each is sent until it is acknowledged."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from stream.connect import KafkaConfig
from stream.shop import ShopRecord
from stream.topics import RAW_EVENT_TOPICS

TICK_S = 0.2
"""Records go out in bursts this far apart."""

REQUESTS_EVERY_S = 2.0
"""Requests are gathered for so long: their bursts keep serving at work for a while."""

PATIENCE_MS = 600_000
"""How long one record is insisted on; no fault lasts nearly as long."""


class Producers(threading.Thread):
    """Sends a stream of records until so many raw events are out, and remembers what was acked.

    Parameters
    ----------
    kafka
        Where to send to.
    records
        What to send.
    events
        How many records of clicks, purchases and reviews, broken ones and copies included.
    rate_per_s
        Of those, per second.
    allowed
        How many of those may be out by now: the stream doesn't run ahead of the faults.

    Attributes
    ----------
    acked
        By topic without prefix: partition and offset of every record that was acknowledged.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        records: Iterable[ShopRecord],
        *,
        events: int,
        rate_per_s: float,
        allowed: Callable[[], int],
    ) -> None:
        super().__init__(name="producers", daemon=True)
        self._kafka = kafka
        self._records = records
        self._events = events
        self._rate_per_s = rate_per_s
        self._allowed = allowed
        self._stopped = threading.Event()
        self._again: deque[tuple[str, bytes | None, bytes | None]] = deque()
        self._requests: list[ShopRecord] = []
        self._requests_due_s = 0.0
        self._producer: Any = None
        self.labels: Counter[str] = Counter()
        self.acked: dict[str, list[tuple[int, int]]] = {}
        self.events = 0
        self.sent = 0
        self.retried = 0
        self.failure: BaseException | None = None

    def stop(self) -> None:
        """End early."""
        self._stopped.set()

    def send_all(self, records: Iterable[ShopRecord]) -> None:
        """Send records at once and wait until all are acknowledged."""
        for record in records:
            self._send(record)
        self._settle()

    def run(self) -> None:
        """Send everything, at the rate."""
        try:
            self._run()
        except BaseException as error:
            self.failure = error
            raise

    def _run(self) -> None:
        started_s = time.monotonic()
        for record in self._records:
            if self.events >= self._events or self._stopped.is_set():
                break
            if record.topic_kind == "requests":
                self._requests.append(record)
                continue
            self._send(record)
            if record.topic_kind not in RAW_EVENT_TOPICS:
                continue
            self.events += 1
            if self.events % max(1, round(self._rate_per_s * TICK_S)) == 0:
                self._send_requests()
                due_s = started_s + self.events / self._rate_per_s
                while self.events > self._allowed() and not self._stopped.wait(TICK_S):
                    self._send_again()
                late_s = time.monotonic() - due_s
                if late_s > 0:
                    started_s += late_s  # a stall isn't made up for
                else:
                    self._stopped.wait(-late_s)
        self._requests_due_s = 0.0
        self._send_requests()
        self._settle()

    def _send_requests(self) -> None:
        if time.monotonic() >= self._requests_due_s:
            self._requests_due_s = time.monotonic() + REQUESTS_EVERY_S
            requests, self._requests = self._requests, []
            for record in requests:
                self._send(record)

    def _send(self, record: ShopRecord) -> None:
        self.labels[f"{record.topic_kind} {record.label}"] += 1
        self.sent += 1
        self._hand_over(record.topic_kind, record.key, record.value)
        self._send_again()

    def _hand_over(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        while True:
            try:
                future = self._connected().send(
                    f"{self._kafka.topic_prefix}{topic}", key=key, value=value
                )
            except KafkaError:
                self._drop()
                self.retried += 1
                self._stopped.wait(TICK_S)
            else:
                break
        future.add_callback(partial(self._acked, topic))
        future.add_errback(lambda _: self._again.append((topic, key, value)))

    def _send_again(self) -> None:
        if self._again:
            self._drop()  # a producer that has lost a batch has a hole in its sequence
        while self._again:
            self.retried += 1
            self._hand_over(*self._again.popleft())

    def _acked(self, topic: str, told: Any) -> None:
        self.acked.setdefault(topic, []).append((told.partition, told.offset))

    def _settle(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_MS / 1000
        while sum(map(len, self.acked.values())) < self.sent:
            with contextlib.suppress(KafkaError):
                self._connected().flush(timeout=5)
            self._send_again()
            assert time.monotonic() < deadline_s, "records stay unacknowledged"
        self._drop()

    def _connected(self) -> Any:
        if self._producer is None:
            self._producer = KafkaProducer(
                **self._kafka.client_settings(),
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                compression_type="lz4",
                request_timeout_ms=10_000,
                delivery_timeout_ms=PATIENCE_MS,
                max_block_ms=PATIENCE_MS,
                reconnect_backoff_max_ms=1_000,
                allow_auto_create_topics=False,
            )
        return self._producer

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError):
                producer.close(timeout=5)
