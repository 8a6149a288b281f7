"""Reading back what was answered lately: the newest records of `recommendations`.

A worker that gets partitions reads all of the topic's window once, whoever wrote it, up to the end
as of that moment, and goes on from there the next time. So a request that comes again after a
restart, or on its way from one worker to another, is still known.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from stream.batching import Record
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.topics import Topics

_log = logging.getLogger(__name__)

_POLL_MS = 50
_MAX_POLL_RECORDS = 5_000


class RecentReader:
    """Reads `recommendations` from `window_s` ago, each record once.

    Parameters
    ----------
    kafka
        Where the broker is.
    window_s
        How far back the first reading goes.
    """

    def __init__(self, kafka: KafkaConfig, window_s: float) -> None:
        self._kafka = kafka
        self._topic = Topics(kafka.topic_prefix).recommendations
        self._window_s = window_s
        self._next: dict[TopicPartition, int] = {}

    def catch_up(self, on_record: Callable[[Record], object], now_ms: int, timeout_s: float) -> int:
        """Read up to the end as it is now; returns how many records there were.

        The end is that of all records, and those of open transactions are waited for: they may
        be the answers of the worker before us, whose offsets are already committed.

        Raises
        ------
        Unavailable
            The broker did not answer, or the end wasn't reached in time. What was read is applied;
            the next call goes on from there.
        """
        deadline_s = time.monotonic() + timeout_s
        try:
            ends = self._ends()
            consumer = self._consumer("read_committed")
            try:
                consumer.assign(list(ends))
                for place, offset in self._starts(consumer, ends, now_ms).items():
                    consumer.seek(place, offset)
                count = 0
                while any(consumer.position(place) < end for place, end in ends.items()):
                    if time.monotonic() > deadline_s:
                        msg = (
                            f"{self._topic} not read to its end in {timeout_s:g} s: {count} "
                            "records so far; a transaction that another process left open is "
                            "undone after its serving.session_timeout_s"
                        )
                        raise Unavailable(msg)
                    for records in consumer.poll(timeout_ms=_POLL_MS).values():
                        for record in records:
                            on_record(record)
                        count += len(records)
                    self._next = {place: consumer.position(place) for place in ends}
            finally:
                consumer.close()
        except KafkaError as error:
            msg = f"{self._topic} can't be read: {type(error).__name__}: {error}"
            raise Unavailable(msg) from error
        return count

    def _ends(self) -> dict[TopicPartition, int]:
        """The end of each partition, open transactions included."""
        consumer = self._consumer("read_uncommitted")
        try:
            numbers = consumer.partitions_for_topic(self._topic)
            if not numbers:
                msg = f"no topic {self._topic} on the broker; `tidemill topics create` makes it"
                raise Unavailable(msg)
            places = [TopicPartition(self._topic, number) for number in sorted(numbers)]
            ends: dict[TopicPartition, int] = consumer.end_offsets(places)
            return ends
        finally:
            consumer.close()

    def _starts(
        self, consumer: Any, ends: dict[TopicPartition, int], now_ms: int
    ) -> dict[TopicPartition, int]:
        since_ms = max(0, now_ms - round(self._window_s * 1000))
        found = consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
        return {
            place: max(self._next.get(place, 0), found[place].offset if found.get(place) else end)
            for place, end in ends.items()
        }

    def _consumer(self, isolation_level: str) -> Any:
        return KafkaConsumer(
            **self._kafka.client_settings(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=isolation_level,
            max_poll_records=_MAX_POLL_RECORDS,
            metrics_enabled=False,
        )
