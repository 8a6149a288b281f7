"""The consuming edge: one member of the group `<prefix>serving`.

An offset counts as done when the answer to its record is committed, or, for an event whose push
still waits out its debounce, when that push is. What is committed of a partition is the first
offset that is not done, in one transaction with the answers (`send_kafka`); after a crash the group
goes on there. What was answered beyond it is on `recommendations`, and passed over
(`serving.recent`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence

from kafka import KafkaConsumer
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import FencedInstanceIdError
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from serving.answer import Taken
from serving.config import ServingConfig
from stream.connect import KafkaConfig
from stream.errors import Halt, Unavailable
from stream.topics import Topics

Offsets = Mapping[TopicPartition, OffsetAndMetadata]
"""What to commit, by partition. The metadata is the transaction's own mark."""


_ASK_MS = 10_000
"""The longest wait for the group's word on an offset."""


class Inbox:
    """Requests, and the users' events where pushes are on, in micro-batches.

    Parameters
    ----------
    kafka
        Where the broker is.
    config
        Sizes and waits.
    on_revoked
        Told the partitions that another member reads from now on.

    Raises
    ------
    Unavailable
        If a topic isn't there yet.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        config: ServingConfig,
        on_revoked: Callable[[set[TopicPartition]], None],
    ) -> None:
        topics = Topics(kafka.topic_prefix)
        self.joined = False
        self.fresh = False
        self.member = ConsumerGroupMetadata()
        self._on_revoked = on_revoked
        self._instance = config.instance
        self._max_batch = config.max_batch
        self._done: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._life, self._transactions = uuid.uuid4().hex[:12], 0
        self._consumer = KafkaConsumer(
            **kafka.client_settings(),
            group_id=f"{kafka.topic_prefix}serving",
            group_instance_id=config.instance or None,
            client_id=config.instance or "tidemill-serving",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
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

    def poll(self, timeout_s: float, room: int | None = None) -> list[Taken]:
        """What has arrived, at most `max_batch` records; empty after `timeout_s` without any.

        Parameters
        ----------
        timeout_s
            The longest wait.
        room
            How many records to take instead of `max_batch`.

        Raises
        ------
        Halt
            If another process works under the same `serving.instance`.
        """
        try:
            polled = self._consumer.poll(
                timeout_ms=max(0, round(timeout_s * 1000)), max_records=room or self._max_batch
            )
        except FencedInstanceIdError as error:
            msg = (
                f"another process works as serving.instance {self._instance!r}: give each its own "
                "name, or stop this one"
            )
            raise Halt(msg) from error
        return [
            Taken(place.topic, place.partition, record)
            for place, records in polled.items()
            for record in records
        ]

    def due(self, records: Sequence[Taken], held: Mapping[TopicPartition, int]) -> Offsets:
        """The offsets to commit with the answers to these records; never none, once any was read.

        Parameters
        ----------
        records
            The micro-batch that is answered.
        held
            By partition, the first offset that is not answered yet.
        """
        for topic, partition, record in records:
            place = TopicPartition(topic, partition)
            self._done[place] = max(record.offset + 1, self._done.get(place, 0))
        first = {place: min(at, held.get(place, at)) for place, at in self._done.items()}
        new = {place: at for place, at in first.items() if self._committed.get(place) != at}
        # One that stands still carries the mark too: by it a transaction's fate is known.
        chosen = new or dict(list(first.items())[:1])
        self._transactions += 1
        mark = f"{self._life}-{self._transactions}"
        return {place: OffsetAndMetadata(at, mark, -1) for place, at in chosen.items()}

    def moves(self, offsets: Offsets) -> bool:
        """Whether a commit of these offsets would change anything."""
        return any(self._committed.get(place) != at.offset for place, at in offsets.items())

    def done(self, offsets: Offsets) -> None:
        """Note what is committed."""
        self._committed.update({place: at.offset for place, at in offsets.items()})

    def finished(self, offsets: Offsets) -> bool:
        """Ask the group whether the transaction that carried these offsets was committed."""
        for place, wanted in offsets.items():
            found = self._consumer.committed(place, metadata=True, timeout_ms=_ASK_MS)
            return found is not None and bool(found.metadata == wanted.metadata)
        return False

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close(autocommit=False, timeout_ms=5_000)

    def assigned(self) -> None:
        """The group has settled: this member has its partitions, maybe none.

        `member` is who we are from now on: taken later, it might be nobody, because the heartbeat
        forgets a lost membership, and the broker lets nobody's offsets pass.
        """
        self.joined = self.fresh = True
        self.member = self._consumer.group_metadata()

    def revoked(self, places: Iterable[TopicPartition]) -> None:
        """These partitions are read elsewhere from now on, from the committed offsets."""
        self.joined = False
        gone = set(places)
        for place in gone:
            self._done.pop(place, None)
            self._committed.pop(place, None)
        self._on_revoked(gone)

    def _know(self, wanted: Sequence[str]) -> None:
        """Learn the topics' partitions before the group is joined.

        A leader who hears of them between its assignment and the group's answer to it keeps an
        empty assignment until the next refresh of metadata, minutes later (the race of KAFKA-3949).
        """
        missing = [topic for topic in wanted if not self._consumer.partitions_for_topic(topic)]
        if missing:
            msg = f"no topic {', '.join(missing)} on the broker; `tidemill topics create` makes it"
            raise Unavailable(msg)


class _Rebalance(ConsumerRebalanceListener):
    """Passes the group's news on; called from within `poll`, never amid a micro-batch."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._inbox.revoked(revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        del assigned
        self._inbox.assigned()
