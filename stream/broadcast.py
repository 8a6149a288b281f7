"""Reading a compacted topic whole, and following it: how every process holds the same catalogue.

All partitions are read, from the beginning, without a consumer group: each reader sees every
record, and nothing is ever committed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from stream.access import check_access, refusal
from stream.batching import Record
from stream.connect import KafkaConfig
from stream.errors import Halt, Unavailable

POLL_S = 0.1
"""How long one question to the broker waits for records while a topic is loaded."""

MAX_POLL_RECORDS = 5_000
"""Records of one answer: fewer costs round trips, more delays the caller's deadline."""

FIRST_OFFSETS_S = 10.0
"""How long a question after the partitions' beginnings may take to connect."""

OnRecord = Callable[[Record], object]
"""Takes a record; its `value` is `None` where the key was deleted."""


class BroadcastReader:
    """Follows a compacted topic from its first record, in every process on its own.

    A key's newest record arrives last, so applying records in order gives the topic's state.
    Not for concurrent use: one call at a time, from any thread.

    Parameters
    ----------
    kafka
        Where the broker is.
    topic
        The topic's full name.
    from_end
        Leave out what is there already: for a topic of which only what is new is of use.
    """

    def __init__(self, kafka: KafkaConfig, topic: str, *, from_end: bool = False) -> None:
        self.topic = topic
        self._kafka = kafka
        self._consumer: Any = None
        self._from_end = from_end

    def load(self, on_record: OnRecord, timeout_s: float) -> int:
        """Read up to the end as it is now; returns how many records there were.

        Raises
        ------
        Unavailable
            The broker did not answer, the topic doesn't exist, or the end wasn't reached in time.
            What was read is applied; the next call goes on from there.
        Halt
            The broker refuses our login or our right to the topic.
        """
        deadline_s = time.monotonic() + timeout_s
        try:
            consumer = self._open(deadline_s)
            partitions = list(consumer.assignment())
            ends = consumer.end_offsets(partitions)
            count = 0
            # The position passes offsets that hold no record: compacted away, or markers.
            while any(consumer.position(tp) < ends[tp] for tp in partitions):
                if time.monotonic() > deadline_s:
                    message = (
                        f"{self.topic} could not be read to its end in {timeout_s:g} s: "
                        f"{count} records so far"
                    )
                    raise Unavailable(message)
                count += self._apply(on_record, POLL_S)
        except KafkaError as error:
            raise self._unavailable(error) from error
        return count

    def poll(self, on_record: OnRecord, timeout_s: float) -> int:
        """Apply what is new, waiting at most `timeout_s` for it; returns how many records."""
        try:
            self._open(time.monotonic() + max(timeout_s, 1.0))
            return self._apply(on_record, timeout_s)
        except KafkaError as error:
            raise self._unavailable(error) from error

    def first_offsets(self) -> dict[int, int]:
        """Where each partition begins now: what is before was removed by the broker."""
        try:
            consumer = self._open(time.monotonic() + FIRST_OFFSETS_S)
            first = consumer.beginning_offsets(list(consumer.assignment()))
        except KafkaError as error:
            raise self._unavailable(error) from error
        return {place.partition: offset for place, offset in first.items()}

    def close(self) -> None:
        """Give the connections back."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _apply(self, on_record: OnRecord, timeout_s: float) -> int:
        fetched = self._consumer.poll(timeout_ms=int(timeout_s * 1000))
        count = 0
        for records in fetched.values():
            for record in records:
                on_record(record)
            count += len(records)
        return count

    def _open(self, deadline_s: float) -> Any:
        if self._consumer is not None:
            return self._consumer
        # kafka-python leaves the sockets of a failed first connection to the garbage collector,
        # so it is only asked to connect where somebody answers.
        if not any(_answers(server, deadline_s) for server in self._kafka.servers):
            message = f"{self.topic}: nobody answers at {self._kafka.bootstrap_servers}"
            raise Unavailable(message)
        check_access(self._kafka)
        consumer = KafkaConsumer(
            **self._kafka.client_settings(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=MAX_POLL_RECORDS,
            bootstrap_timeout_ms=max(1, int((deadline_s - time.monotonic()) * 1000)),
        )
        try:
            numbers = consumer.partitions_for_topic(self.topic)
            while not numbers and time.monotonic() < deadline_s:
                consumer.poll(timeout_ms=int(POLL_S * 1000))
                numbers = consumer.partitions_for_topic(self.topic)
            if not numbers:
                message = f"topic {self.topic} is not on {self._kafka.bootstrap_servers}"
                raise Unavailable(message)
            partitions = [TopicPartition(self.topic, number) for number in sorted(numbers)]
            consumer.assign(partitions)
            if self._from_end:
                consumer.seek_to_end(*partitions)
            else:
                consumer.seek_to_beginning(*partitions)
        except BaseException:
            consumer.close()
            raise
        self._consumer = consumer
        return consumer

    def _unavailable(self, error: KafkaError) -> Unavailable | Halt:
        return refusal(error, self._kafka) or Unavailable(
            f"{self.topic} can't be read from {self._kafka.bootstrap_servers}: {error!r}"
        )


def _answers(server: str, deadline_s: float) -> bool:
    host, _, port = server.rpartition(":")
    timeout_s = max(0.1, deadline_s - time.monotonic())
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout_s):
            return True
    except OSError:
        return False
