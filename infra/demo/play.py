"""Play a script through kafka-python, as a shop's own producer would, and wait for the rest.

1. `send_items`: the catalogue, then wait until `item-vectors` holds it.
2. `play`: events and requests at a bounded rate; shoppers see what is recommended meanwhile.
3. `settle`: go on asking now and then until everything is read, answered, learnt, published and
   in use; then fall silent until the last answer is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Event as Flag
from typing import Annotated

import msgspec
from kafka import KafkaProducer
from msgspec import Meta

from infra.demo.listen import Listener
from infra.demo.reading import open_reader, partitions_of
from infra.demo.script import Line, Script
from stream.batching import PlainRecord
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Unavailable
from stream.events import Request, json_encode
from stream.parse import parse_request
from stream.topics import RAW_EVENT_TOPICS, Topics

RECENT_USERS = 50
"""Whom the last requests are for: users who were there a moment ago."""


class PlayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast the demo plays, and how long it waits."""

    rate_per_s: Annotated[float, Meta(gt=0, description="events sent per second")] = 300.0
    patience_s: Annotated[
        float, Meta(gt=0, description="longest wait without any progress before giving up")
    ] = 120.0
    publish_wait_s: Annotated[
        float,
        Meta(ge=0, description="longest wait for a version that has learnt the last examples"),
    ] = 60.0
    asks_per_s: Annotated[
        float, Meta(gt=0, description="requests per second while waiting for the last version")
    ] = 2.0


class Play:
    """One performance of a script.

    Parameters
    ----------
    kafka
        The broker and the topics' prefix.
    script
        What is played.
    listener
        Hears the stack's answers; running.
    unread
        Returns the number of unread records by topic, names without prefix.
    config
        Rate and patience.
    clock
        Measures the rate and the patience.
    stop
        Ends the play early: what was sent by then is settled all the same.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        script: Script,
        *,
        listener: Listener,
        unread: Callable[[], dict[str, int]],
        config: PlayConfig,
        clock: Clock,
        stop: Flag,
    ) -> None:
        self._kafka = kafka
        self._topics = Topics(kafka.topic_prefix)
        self._script = script
        self._listener = listener
        self._unread = unread
        self._config = config
        self._clock = clock
        self._stop = stop
        self._asked = 0
        self._users: deque[str] = deque(maxlen=RECENT_USERS)
        self._failures: list[Exception] = []
        self._producer = KafkaProducer(
            **kafka.client_settings(), acks="all", linger_ms=5, enable_idempotence=True
        )
        self.sent = 0
        self.items_sent = 0
        self.items_known = 0

    def close(self) -> None:
        """Send what is buffered and disconnect."""
        self._producer.close(timeout=10)

    def send_items(self) -> None:
        """Send the catalogue, and wait until every item is encoded or refused.

        Raises
        ------
        Unavailable
            If nothing is encoded for `patience_s`.
        """
        waiting = set()
        for line in self._script.items():
            if line.key is not None:
                waiting.add(line.key)
            self._send(line)
            self.items_sent += 1
        self._flush()
        consumer = open_reader(self._kafka)
        try:
            topics = [self._topics.item_vectors, self._topics.dead_letters]
            places = partitions_of(consumer, topics)
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            progress_s = self._clock.monotonic_s()
            while waiting and not self._stop.is_set():
                before = len(waiting)
                for place, records in consumer.poll(timeout_ms=200).items():
                    for record in records:
                        waiting.discard(
                            record.key
                            if place.topic == self._topics.item_vectors
                            else dict(record.headers).get("tidemill.dlq.key", b"")
                        )
                self.items_known = self.items_sent - len(waiting)
                now_s = self._clock.monotonic_s()
                if len(waiting) < before:
                    progress_s = now_s
                self._check(progress_s, f"{len(waiting)} items wait for their text vectors")
        finally:
            consumer.close()

    def play(self, events: int | None) -> None:
        """Send lines at the configured rate, until `events` raw events are out or the end.

        Every line of the topics clicks, purchases and reviews counts, broken ones too.
        """
        due_s = self._clock.monotonic_s()
        for line in self._script.lines():
            if self._stop.is_set() or (events is not None and self.sent >= events):
                break
            if line.topic == "requests":
                self._note_request(line)
            self._send(line)
            if line.topic not in RAW_EVENT_TOPICS:
                continue
            self.sent += 1
            self._hear()
            due_s += 1 / self._config.rate_per_s
            ahead_s = due_s - self._clock.monotonic_s()
            if ahead_s > 0:
                self._stop.wait(ahead_s)
            else:
                due_s -= ahead_s  # a stall isn't made up for by a burst
        self._flush()

    def settle(self, give_up: Flag) -> bool:
        """Wait until all is through; whether the newest version has learnt all and is in use.

        Raises
        ------
        Unavailable
            If records stay unread or requests unanswered, without progress, for `patience_s`.
        """
        published_by_s: float | None = None
        in_use = False
        while not give_up.is_set() and not in_use:
            self._ask()
            self._hear()
            if not any(self._unread_but_requests().values()):
                now_s = self._clock.monotonic_s()
                published_by_s = published_by_s or now_s + self._config.publish_wait_s
                in_use = self._listener.all_published and self._listener.newest_in_use
                if now_s > published_by_s:
                    break
            give_up.wait(1 / self._config.asks_per_s)
        self._flush()
        self._wait_until_quiet(give_up)
        return in_use

    def _wait_until_quiet(self, give_up: Flag) -> None:
        progress_s = self._clock.monotonic_s()
        left = None
        while not give_up.is_set():
            unread = {topic: lag for topic, lag in self._unread().items() if lag}
            now = (sum(unread.values()), self._listener.open_requests)
            if now == (0, 0):
                return
            if now != left:
                left, progress_s = now, self._clock.monotonic_s()
            self._check(progress_s, f"unread {unread}, {now[1]} requests without an answer")
            self._hear()
            give_up.wait(0.2)

    def _unread_but_requests(self) -> dict[str, int]:
        """Unread records; those of `requests` are left out while we go on asking."""
        unread = self._unread()
        unread.pop("requests", None)
        return unread

    def _check(self, progress_s: float, what: str) -> None:
        if self._failures:
            raise self._failures[0]
        if self._listener.failure is not None:
            raise self._listener.failure
        stalled_s = self._clock.monotonic_s() - progress_s
        if stalled_s > self._config.patience_s:
            msg = f"no progress for {stalled_s:.0f} s: {what}; the roles' logs say why"
            raise Unavailable(msg)

    def _hear(self) -> None:
        for recommendation in self._listener.take():
            self._script.see(recommendation)

    def _note_request(self, line: Line) -> None:
        try:
            request = parse_request(PlainRecord(line.key, line.value, offset=0))
        except BadRecord:
            return  # it becomes a dead letter, and nobody waits for an answer
        self._users.append(request.user_id)
        self._listener.asked(request.request_id)

    def _ask(self) -> None:
        if not self._users:
            return
        user_id = self._users[self._asked % len(self._users)]
        self._asked += 1
        request = Request(
            request_id=f"settle-{self._clock.now_ms()}-{self._asked}", user_id=user_id
        )
        self._listener.asked(request.request_id)
        self._send(Line("requests", user_id.encode(), json_encode(request)))

    def _send(self, line: Line) -> None:
        topic = f"{self._topics.prefix}{line.topic}"
        future = self._producer.send(topic, key=line.key, value=line.value)
        future.add_errback(self._failures.append)

    def _flush(self) -> None:
        self._producer.flush(timeout=60)
        if self._failures:
            raise self._failures[0]
