"""A shop that asks: requests out, answers in, each with its wait; run apart from what it measures.

Closed: so many users, each of whom asks again once the answer is there. Open: so many requests a
second, whether or not the ones before are answered, so that a stall is paid for by all that came
meanwhile.

Answers are read as a shop reads them, with `read_committed`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from infra.bench.big_shop import user_id
from infra.demo.freshness import percentile
from stream.events import Request, Timings, json_encode

WARM_S = 3.0
"""Asked before anything counts: caches fill, the broker's code is compiled."""

DRAIN_S = 10.0
"""The longest wait for the last answers."""

LISTED = 10
STEP = 7_919
"""From one user to the next: prime, so that all have their turn."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at of an answer."""

    request_id: str
    items: tuple[msgspec.Raw, ...]
    path: str
    timings: Timings


_decode = msgspec.json.Decoder(Answer).decode


class Asker:
    """Asks for users of the big shop, and takes note of what comes back."""

    def __init__(self, servers: str, users: int) -> None:
        self._users = users
        self._producer = KafkaProducer(bootstrap_servers=servers, acks=1, linger_ms=0)
        self._consumer = KafkaConsumer(
            bootstrap_servers=servers,
            isolation_level="read_committed",
            group_id=None,
            max_poll_records=2_000,
            fetch_max_wait_ms=20,
        )
        partitions = self._consumer.partitions_for_topic("recommendations") or set()
        places = [TopicPartition("recommendations", number) for number in partitions]
        self._consumer.assign(places)
        self._consumer.seek_to_end(*places)
        for place in places:
            self._consumer.position(place)
        self._run = str(time.time_ns())
        self._sent_s: dict[str, float] = {}
        self._asked = 0
        self.waits_ms: list[float] = []
        self.inside_ms: list[float] = []
        self.feature_ms: list[float] = []
        self.listed = 0
        self.by_model = 0

    def ask(self) -> None:
        """Send a request of the next user."""
        self._asked += 1
        user = user_id(self._asked * STEP % self._users)
        request = Request(request_id=f"{self._run}-{self._asked}", user_id=user, k=LISTED)
        self._sent_s[request.request_id] = time.monotonic()
        self._producer.send("requests", key=user.encode(), value=json_encode(request))

    def hear(self, wait_s: float) -> int:
        """Take answers in; says how many there were."""
        heard = 0
        for records in self._consumer.poll(timeout_ms=round(wait_s * 1000)).values():
            now_s = time.monotonic()
            for record in records:
                answer = _decode(record.value)
                sent_s = self._sent_s.pop(answer.request_id, None)
                if sent_s is None:
                    continue
                heard += 1
                self.waits_ms.append((now_s - sent_s) * 1000)
                self.inside_ms.append(answer.timings.total_ms)
                self.feature_ms.append(answer.timings.features_ms)
                self.listed += len(answer.items)
                self.by_model += answer.path == "model"
        return heard

    def forget(self) -> None:
        """Let nothing count that was until now."""
        for values in (self.waits_ms, self.inside_ms, self.feature_ms):
            values.clear()
        self.listed = self.by_model = 0

    @property
    def open_requests(self) -> int:
        """How many wait for their answers."""
        return len(self._sent_s)

    def close(self) -> None:
        """Disconnect."""
        self._producer.close(timeout=5)
        self._consumer.close()

    def figures(self, seconds: float) -> dict[str, float]:
        """Answers a second, and percentiles of waits."""
        count = len(self.waits_ms)
        figures = {
            "answers": float(count),
            "rate": count / seconds,
            "listed": self.listed / max(1, count),
            "by_model": self.by_model / max(1, count),
            "unanswered": float(self.open_requests),
        }
        for name, values in (
            ("wait", self.waits_ms),
            ("inside", self.inside_ms),
            ("features", self.feature_ms),
        ):
            for percent in (50, 90, 99):
                figures[f"{name}_p{percent}"] = percentile(values, percent) or 0.0
        return figures


def closed(servers: str, users: str, at_once: str, seconds: str) -> Mapping[str, float]:
    """So many users at once, each asking again when answered."""
    asker = Asker(servers, int(users))
    try:
        for _ in range(int(at_once)):
            asker.ask()
        _closed_for(asker, WARM_S)
        asker.forget()
        started_s = time.monotonic()
        _closed_for(asker, float(seconds))
        return asker.figures(time.monotonic() - started_s)
    finally:
        asker.close()


def _closed_for(asker: Asker, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for _ in range(asker.hear(0.1)):
            asker.ask()


def steady(servers: str, users: str, per_s: str, seconds: str) -> Mapping[str, float]:
    """So many requests a second."""
    asker = Asker(servers, int(users))
    try:
        _steady_for(asker, float(per_s), WARM_S)
        asker.forget()
        started_s = time.monotonic()
        _steady_for(asker, float(per_s), float(seconds))
        spent_s = time.monotonic() - started_s
        end_s = time.monotonic() + DRAIN_S
        while asker.open_requests and time.monotonic() < end_s:
            asker.hear(0.1)
        return asker.figures(spent_s)
    finally:
        asker.close()


def _steady_for(asker: Asker, per_s: float, seconds: float) -> None:
    started_s, sent = time.monotonic(), 0
    while (spent_s := time.monotonic() - started_s) < seconds:
        while sent < spent_s * per_s:
            asker.ask()
            sent += 1
        asker.hear(max(0.0, min(0.01, (sent + 1) / per_s - spent_s)))
