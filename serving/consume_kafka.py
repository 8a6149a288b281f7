"""The consuming edge: one member of the group `<prefix>serving`, offsets committed by hand.

An offset counts as done when the answer to its record is acked, or, for an event whose push still
waits out its debounce, when that push is acked. What is committed of a partition is the first
offset that is not done; after a crash the group goes on there and repeats some answers, under the
same ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from kafka import KafkaConsumer
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from serving.answer import Taken
from serving.config import ServingConfig
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.topics import Topics

_log = logging.getLogger(__name__)


class Inbox:
    """Requests, and the users' events where pushes are on, in micro-batches.

    Parameters
    ----------
    kafka
        Where the broker is.
    config
        Sizes and waits.
    on_revoked
        Told the partitions of `examples` that another member reads from now on.

    Raises
    ------
    Unavailable
        If a topic isn't there yet.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        config: ServingConfig,
        on_revoked: Callable[[set[int]], None],
    ) -> None:
        topics = Topics(kafka.topic_prefix)
        self.joined = False
        self._examples = topics.examples
        self._on_revoked = on_revoked
        self._done: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._consumer = KafkaConsumer(
            **kafka.client_settings(),
            group_id=f"{kafka.topic_prefix}serving",
            group_instance_id=config.instance or None,
            client_id=config.instance or "tidemill-serving",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            max_poll_records=config.max_batch,
            reconnect_backoff_max_ms=round(config.retry_longest_s * 1000),
            fetch_max_wait_ms=config.poll_ms,
            session_timeout_ms=round(config.session_timeout_s * 1000),
            heartbeat_interval_ms=round(config.session_timeout_s * 1000 / 4),
            metrics_enabled=False,
        )
        wanted = [topics.requests, *([topics.examples] if config.push else [])]
        self._consumer.subscribe(wanted, listener=_Rebalance(self))
        try:
            self._know(wanted)
        except BaseException:
            self.close()
            raise

    def poll(self, timeout_s: float) -> list[Taken]:
        """What has arrived, at most `max_batch` records; empty after `timeout_s` without any."""
        polled = self._consumer.poll(timeout_ms=max(0, round(timeout_s * 1000)))
        return [
            Taken(place.topic, place.partition, record)
            for place, records in polled.items()
            for record in records
        ]

    def done(self, records: Sequence[Taken], held: Mapping[int, int]) -> None:
        """Commit what is answered; a commit that fails is made up for by the next.

        Parameters
        ----------
        records
            The micro-batch whose answers are acked.
        held
            By partition of `examples`, the first offset that still waits for its push.
        """
        for topic, partition, record in records:
            self._done[TopicPartition(topic, partition)] = record.offset + 1
        due = {}
        for place, offset in self._done.items():
            first = min(
                offset, held.get(place.partition, offset) if self._pushes(place) else offset
            )
            if self._committed.get(place) != first:
                due[place] = first
        if not due:
            return
        try:
            self._consumer.commit(
                {place: OffsetAndMetadata(at, "", -1) for place, at in due.items()}
            )
        except KafkaError as error:
            _log.warning("offsets not committed now (%s): answers may be repeated", error)
        else:
            self._committed.update(due)

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close(autocommit=False, timeout_ms=5_000)

    def assigned(self) -> None:
        """The group has settled: this member has its partitions, maybe none."""
        self.joined = True

    def revoked(self, places: Iterable[TopicPartition]) -> None:
        """These partitions are read elsewhere from now on, from the committed offsets."""
        self.joined = False
        gone = set(places)
        for place in gone:
            self._done.pop(place, None)
            self._committed.pop(place, None)
        self._on_revoked({place.partition for place in gone if self._pushes(place)})

    def _know(self, wanted: Sequence[str]) -> None:
        """Learn the topics' partitions before the group is joined.

        A leader who hears of them between its assignment and the group's answer to it keeps an
        empty assignment until the next refresh of metadata, minutes later (the race of KAFKA-3949).
        """
        missing = [topic for topic in wanted if not self._consumer.partitions_for_topic(topic)]
        if missing:
            msg = f"no topic {', '.join(missing)} on the broker; `tidemill topics create` makes it"
            raise Unavailable(msg)

    def _pushes(self, place: TopicPartition) -> bool:
        return bool(place.topic == self._examples)


class _Rebalance(ConsumerRebalanceListener):
    """Passes the group's news on; called from within `poll`, never amid a micro-batch."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._inbox.revoked(revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        del assigned
        self._inbox.assigned()
