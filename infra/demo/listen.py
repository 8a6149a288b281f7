"""What the stack says while the demo plays: one thread follows four topics from where it began.

The play asks it what is still open (requests without an answer, examples that no version has
learnt); the screen shows the newest of what it heard. `take` hands over the recommendations that
the shoppers haven't seen yet.
"""

from __future__ import annotations

from collections import deque
from threading import Event, Lock, Thread

from kafka import TopicPartition

from infra.demo.audit import Start
from infra.demo.reading import open_reader, partitions_of
from infra.demo.scene import KEPT
from stream.batching import Record
from stream.connect import KafkaConfig
from stream.events import (
    AdapterVersion,
    InterestShift,
    Recommendation,
    decode_adapter,
    decode_example,
    decode_recommendation,
    decode_shift,
)
from stream.topics import Topics

POLL_MS = 100
UNSEEN = 1_000
"""Recommendations kept for shoppers; the oldest are dropped if nobody comes to look."""


class Listener:
    """Follows `recommendations`, `examples`, `interest-shifts` and `adapters`.

    Parameters
    ----------
    kafka
        The broker and the topics' prefix.
    start
        Where to begin, by topic and partition; see `infra.demo.audit.start_here`.
    """

    def __init__(self, kafka: KafkaConfig, start: Start) -> None:
        self._topics = Topics(kafka.topic_prefix)
        self._kafka = kafka
        self._start = start
        self._lock = Lock()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="demo-listener", daemon=True)
        self._unseen: deque[Recommendation] = deque(maxlen=UNSEEN)
        self._open_requests: set[str] = set()
        self._learn_until: dict[int, int] = {}
        self.newest: AdapterVersion | None = None
        self.used_version: int | None = None
        self.failure: Exception | None = None
        self.answers = 0
        self.shift_count = 0
        self.shifts: deque[InterestShift] = deque(maxlen=KEPT)
        self.recommendations: deque[Recommendation] = deque(maxlen=KEPT)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the thread."""
        self._stop.set()
        self._thread.join(timeout=10)

    def asked(self, request_id: str) -> None:
        """Note a request before it is sent."""
        with self._lock:
            self._open_requests.add(request_id)

    def take(self) -> list[Recommendation]:
        """The recommendations that came since the last call."""
        with self._lock:
            taken = list(self._unseen)
            self._unseen.clear()
        return taken

    @property
    def open_requests(self) -> int:
        """Requests without an answer."""
        with self._lock:
            return len(self._open_requests)

    @property
    def all_published(self) -> bool:
        """Whether the newest version has learnt every example."""
        with self._lock:
            if self.newest is None:
                return not self._learn_until
            learnt = self.newest.offsets
            return all(
                learnt.get(str(partition), 0) >= until
                for partition, until in self._learn_until.items()
            )

    @property
    def newest_in_use(self) -> bool:
        """Whether an answer was made with the newest version."""
        with self._lock:
            newest = self.newest.version if self.newest else None
            return newest is None or (self.used_version or 0) >= newest

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # the play reads `failure` and stops with it
            self.failure = error

    def _follow(self) -> None:
        take = {
            self._topics.recommendations: self._take_recommendation,
            self._topics.examples: self._take_example,
            self._topics.interest_shifts: self._take_shift,
            self._topics.adapters: self._take_adapter,
        }
        consumer = open_reader(self._kafka)
        try:
            places: list[TopicPartition] = partitions_of(consumer, take)
            consumer.assign(places)
            for place in places:
                consumer.seek(place, self._start.get((place.topic, place.partition), 0))
            while not self._stop.is_set():
                fetched = consumer.poll(timeout_ms=POLL_MS)
                with self._lock:
                    for place, records in fetched.items():
                        for record in records:
                            take[place.topic](record)
        finally:
            consumer.close()

    def _take_recommendation(self, record: Record) -> None:
        answer = decode_recommendation(record.value or b"")
        self.answers += 1
        self._unseen.append(answer)
        self.recommendations.append(answer)
        if answer.request_id is not None:
            self._open_requests.discard(answer.request_id)
        if answer.model_version is not None:
            self.used_version = max(answer.model_version, self.used_version or 0)

    def _take_example(self, record: Record) -> None:
        example = decode_example(record.value or b"")
        until = self._learn_until.get(example.partition, 0)
        self._learn_until[example.partition] = max(until, example.offset + 1)

    def _take_shift(self, record: Record) -> None:
        self.shift_count += 1
        self.shifts.append(decode_shift(record.value or b""))

    def _take_adapter(self, record: Record) -> None:
        if record.value is None:
            return
        version = decode_adapter(record.value)
        if self.newest is None or version.version > self.newest.version:
            self.newest = version
