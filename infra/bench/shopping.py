"""A shop in real time: events out, and how soon answers know them; run apart from the stack.

A pushed answer says which event it has seen. Beside that, after every tenth event its user asks for
a list at once, and again as long as the answers don't know the event yet.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from infra.demo.freshness import Answer, Applied, events_to_answers_ms, percentile
from stream.events import Request, Timings, json_encode
from stream.shop import Shop, ShopConfig, ShopRecord
from stream.topics import RAW_EVENT_TOPICS

WARM_S = 5.0
DRAIN_S = 5.0
"""The longest wait for what is still to come, after the last event."""

BETWEEN_S = 10
"""A shopper does something so often: at 500 events a second 5,000 are there."""

MOST_VISITS = 5_000

ENTERING = 2
"""Steps for each visit before anything is sent: whoever comes asks for a list, and all coming at
once would ask for more than a shop does."""

SPARE = 2_000
"""Records made beyond those that are sent: not all are events."""

ASK_EVERY = 10
PATIENCE = 100
"""So often one asks again after one event."""

HEARD = ("events", "examples", "recommendations")


class _Said(msgspec.Struct):
    """What is looked at of a record of any of these topics."""

    user_id: str = ""
    event_id: str = ""
    request_id: str | None = None
    seen_event_id: str | None = None
    trigger: str = ""
    timings: Timings | None = None


_read_json = msgspec.json.Decoder(_Said).decode
_read_msgpack = msgspec.msgpack.Decoder(_Said).decode


class _Asked(NamedTuple):
    """An event after which its user asks."""

    event_id: str
    user_id: str
    sent_s: float
    tries: int


class Shopping:
    """One shop on one stack."""

    def __init__(self, servers: str, per_s: float, seed: int) -> None:
        self._per_s = per_s
        visits = min(MOST_VISITS, round(per_s * BETWEEN_S))
        before_ms = ENTERING * visits * 1000.0 / per_s
        shop = Shop(
            seed,
            ShopConfig(
                shoppers=2 * visits - 1,
                open_visits=visits,
                start_ms=round(time.time() * 1000 - before_ms),
                mean_gap_ms=1000.0 / per_s,
                broken_share=0.0,
                duplicate_share=0.0,
                bot_share=0.0,
            ),
        )
        for _ in range(ENTERING * visits):
            shop.step()
        self._records = shop.records()
        self._producer = KafkaProducer(bootstrap_servers=servers, acks=1, linger_ms=0)
        self._consumer = listener(servers, HEARD)
        self._sent_s: dict[str, float] = {}
        self._order: list[tuple[str, str]] = []
        self._heard_s: dict[str, dict[str, float]] = {topic: {} for topic in HEARD}
        self._made_ms: list[float] = []
        self._pushed: list[Answer] = []
        self._asked: dict[str, _Asked] = {}
        self.known_after_ms: list[float] = []
        self.first_asks = self.first_knew = 0
        self._number = 0

    def play(self, seconds: float) -> None:
        """Send at the rate, and hear what comes."""
        # Made before: at hundreds a second, making them would hold up the hearing.
        ready = iter(list(islice(self._records, round(1.2 * seconds * self._per_s) + SPARE)))
        started_s, sent = time.monotonic(), 0
        while (spent_s := time.monotonic() - started_s) < seconds:
            while sent < spent_s * self._per_s:
                sent += self._send(next(ready))
            self._hear(max(0.0, min(0.01, (sent + 1) / self._per_s - spent_s)))

    def drain(self) -> None:
        """Hear the last answers."""
        end_s = time.monotonic() + DRAIN_S
        while time.monotonic() < end_s:
            self._hear(0.1)

    def close(self) -> None:
        """Disconnect."""
        self._producer.close(timeout=5)
        self._consumer.close()

    def _send(self, record: ShopRecord) -> int:
        """Send one record; events count, after some of them their user asks."""
        self._producer.send(record.topic_kind, key=record.key, value=record.value)
        if record.topic_kind not in RAW_EVENT_TOPICS or record.value is None:
            return 0
        said = _read_json(record.value)
        now_s = time.monotonic()
        self._sent_s[said.event_id] = now_s
        self._order.append((said.user_id, said.event_id))
        if len(self._order) % ASK_EVERY == 0:
            self._ask(_Asked(said.event_id, said.user_id, now_s, 1))
        return 1

    def _ask(self, asked: _Asked) -> None:
        self._number += 1
        request = Request(request_id=f"after-{self._number}", user_id=asked.user_id)
        self._asked[request.request_id] = asked
        self._producer.send("requests", key=asked.user_id.encode(), value=json_encode(request))

    def _hear(self, wait_s: float) -> None:
        for place, records in self._consumer.poll(timeout_ms=round(wait_s * 1000)).items():
            now_s = time.monotonic()
            read = _read_msgpack if place.topic == "examples" else _read_json
            for record in records:
                said = read(record.value)
                if place.topic != "recommendations":
                    self._heard_s[place.topic].setdefault(said.event_id, now_s)
                elif said.trigger == "event":
                    self._heard_s[place.topic].setdefault(said.seen_event_id or "", now_s)
                    self._made_ms += [said.timings.total_ms] if said.timings else []
                    self._pushed.append(
                        Answer(said.user_id, round(now_s * 1000), said.seen_event_id, None)
                    )
                elif asked := self._asked.pop(said.request_id or "", None):
                    self._answered(asked, said, now_s)

    def _answered(self, asked: _Asked, said: _Said, now_s: float) -> None:
        seen_s = self._sent_s.get(said.seen_event_id or "", 0.0)
        knows = said.seen_event_id == asked.event_id or seen_s > asked.sent_s
        self.first_asks += asked.tries == 1
        self.first_knew += knows and asked.tries == 1
        if knows:
            self.known_after_ms.append((now_s - asked.sent_s) * 1000)
        elif asked.tries < PATIENCE:
            self._ask(asked._replace(tries=asked.tries + 1))

    def figures(self, since_s: float) -> dict[str, float]:
        """Percentiles over the events sent since then."""
        events = [
            Applied(user_id, event_id, round(self._sent_s[event_id] * 1000), 0, number)
            for number, (user_id, event_id) in enumerate(self._order)
            if self._sent_s[event_id] >= since_s
        ]
        pushed_ms = [float(wait) for wait in events_to_answers_ms(events, self._pushed)]
        figures = {
            "events": float(len(events)),
            "answered": len(pushed_ms) / max(1, len(events)),
            "knew_at_once": self.first_knew / max(1, self.first_asks),
        }
        heard = self._heard_s
        waits: Mapping[str, list[float]] = {
            "pushed": pushed_ms,
            "asked": self.known_after_ms,
            "ingest": _hops(self._sent_s, heard["events"], events),
            "profile": _hops(self._sent_s, heard["examples"], events),
            "serving": _hops(heard["examples"], heard["recommendations"], events),
            "made": self._made_ms,
        }
        for name, values in waits.items():
            for percent in (50, 90, 99):
                figures[f"{name}_p{percent}"] = percentile(values, percent) or 0.0
        return figures


def _hops(
    from_s: Mapping[str, float], to_s: Mapping[str, float], events: list[Applied]
) -> list[float]:
    """Milliseconds from one place to the next, of the events that were seen at both."""
    known = (event.event_id for event in events)
    return [(to_s[one] - from_s[one]) * 1000 for one in known if one in from_s and one in to_s]


def listener(servers: str, topics: tuple[str, ...]) -> KafkaConsumer:
    """Read topics from their present ends on, committed records only, as a shop would."""
    consumer = KafkaConsumer(
        bootstrap_servers=servers,
        isolation_level="read_committed",
        group_id=None,
        max_poll_records=2_000,
        fetch_max_wait_ms=20,
    )
    places = [
        TopicPartition(topic, number)
        for topic in topics
        for number in consumer.partitions_for_topic(topic) or ()
    ]
    consumer.assign(places)
    consumer.seek_to_end(*places)
    for place in places:
        consumer.position(place)
    return consumer


def play(servers: str, per_s: str, seconds: str, seed: str) -> Mapping[str, float]:
    """Play so many events a second, after a while that doesn't count."""
    shopping = Shopping(servers, float(per_s), int(seed))
    try:
        shopping.play(WARM_S)
        shopping.first_asks = shopping.first_knew = 0
        shopping.known_after_ms.clear()
        since_s = time.monotonic()
        shopping.play(float(seconds))
        shopping.drain()
        return shopping.figures(since_s)
    finally:
        shopping.close()


def stock(servers: str, seed: int, patience_s: float) -> int:
    """Send the catalogue, and wait until all of it has vectors; says how many items there are."""
    wares: deque[ShopRecord] = deque(Shop(seed, ShopConfig()).item_records())
    waiting = {ware.key for ware in wares}
    consumer = listener(servers, ("item-vectors",))
    producer = KafkaProducer(bootstrap_servers=servers, acks="all")
    try:
        for ware in wares:
            producer.send("items", key=ware.key, value=ware.value)
        producer.flush(timeout=30)
        end_s = time.monotonic() + patience_s
        while waiting and time.monotonic() < end_s:
            waiting -= set(_keys(consumer))
    finally:
        producer.close(timeout=5)
        consumer.close()
    return len(wares) - len(waiting)


def _keys(consumer: KafkaConsumer) -> Iterator[bytes | None]:
    for records in consumer.poll(timeout_ms=200).values():
        yield from (record.key for record in records)
