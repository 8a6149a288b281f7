"""Producers at ten times what the stack can do: does it stay whole, and come back?

    python -m tests.bench backpressure --json --minutes 5

The whole stack runs (embedded Kafka, all roles). Two bursts first warm it up and tell what ingest
and profile can do; then views are produced at ten times that, with a request for every ten of them,
while each process is weighed. Then nothing more comes, until everything is read: after five minutes
of it that takes three quarters of an hour. Serving answers the newest requests first, and tells the
others that they waited too long. Nothing may be lost: every view is accepted, every request
answered once.

`--drain-minutes` bounds the wait for the end: what is still unread then is said, and not lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from kafka import KafkaProducer

from infra.demo.reading import read_topic
from infra.lag import lag
from infra.settings import Settings
from infra.supervise import Supervisor
from stream.connect import KafkaConfig
from stream.events import decode_recommendation, json_encode
from stream.shop import Shop
from stream.topics import Topics
from tests.bench._weighed import weigh

BURST = 6_000
USERS, ITEMS = 2_000, 200
VIEWS_PER_REQUEST = 10
TIMES = 10.0
LOOK_S = 10.0
MAX_AGE_S = 10.0
PRODUCER_S = 0.05
"""The producer's stride: what is due in it is sent at once."""

SETTINGS: Mapping[str, object] = {
    "broker.port": 0,
    "supervise.lag_every_s": 2.0,
    "serving.fresh_first": True,
    "serving.request_max_age_s": MAX_AGE_S,
}


class Flood:
    """Sends numbered views and requests, as many as are due."""

    def __init__(self, kafka: KafkaConfig, items: list[str]) -> None:
        self.views = self.requests = 0
        self._topics = Topics(kafka.topic_prefix)
        self._items = items
        self._producer = KafkaProducer(
            **kafka.client_settings(), acks="all", linger_ms=20, batch_size=256 * 1024
        )

    def send(self, count: int) -> None:
        """Send so many views, and the requests between them."""
        now_ms = time.time_ns() // 1_000_000
        for _ in range(count):
            n, self.views = self.views, self.views + 1
            user = f"u{n * 7919 % USERS}"
            item = self._items[n * 31 % len(self._items)]
            view = {"event_id": f"v{n}", "user_id": user, "item_id": item, "ts": now_ms}
            self._producer.send(self._topics.clicks, json_encode(view), user.encode())
            if n % VIEWS_PER_REQUEST == 0:
                self.requests += 1
                ask = {"request_id": f"r{n}", "user_id": user}
                self._producer.send(self._topics.requests, json_encode(ask), user.encode())

    def play(self, rate_per_s: float, seconds: float, stop: threading.Event) -> None:
        """Send at a rate for a while, acked at the end."""
        first, started_s = self.views, time.monotonic()
        while (at_s := time.monotonic() - started_s) < seconds and not stop.is_set():
            self.send(round(at_s * rate_per_s) - (self.views - first))
            stop.wait(PRODUCER_S)
        self._producer.flush(120)

    def close(self) -> None:
        """Give the connections back."""
        self._producer.flush(120)
        self._producer.close()


class Watch:
    """Weighs the processes and counts what waits, a line each `LOOK_S`."""

    def __init__(self, stack: Supervisor) -> None:
        self.most: dict[str, list[float]] = defaultdict(list)
        self.lags: list[int] = []
        self._stack = stack
        self._started_s = time.monotonic()

    def look(self, phase: str) -> dict[tuple[str, str], int]:
        """Look once."""
        self._stack.check()
        at_s = time.monotonic() - self._started_s
        behind = lag(self._stack.kafka)
        pids = {status.name: status.pid for status in self._stack.status()}
        pids["broker"] = self._stack.broker.pid if self._stack.broker is not None else None
        for name, pid in pids.items():
            seen = weigh(pid, at_s) if pid is not None else None
            if seen is not None:
                self.most[name].append(seen.rss_mb)
        self.lags.append(sum(n for (role, _), n in behind.items() if role == "ingest-profile"))
        waiting = {f"{role}/{topic}": n for (role, topic), n in behind.items() if n}
        sizes = {name: round(seen[-1]) for name, seen in self.most.items()}
        print(f"{at_s:5.0f} s  {phase:5}  MB {sizes}  unread {waiting}", file=sys.stderr)
        return behind


def until_read(watch: Watch, topics: set[str], limit_s: float, phase: str) -> float | None:
    """Wait until topics are read to their ends; the seconds, `None` if it takes too long."""
    started_s = last_s = time.monotonic()
    while (now_s := time.monotonic()) - started_s < limit_s:
        behind = watch.look(phase) if now_s - last_s >= LOOK_S else lag(watch._stack.kafka)
        last_s = now_s if now_s - last_s >= LOOK_S else last_s
        if not any(n for (_, topic), n in behind.items() if topic in topics):
            return now_s - started_s
        time.sleep(0.2)
    return None


def accounts(kafka: KafkaConfig) -> dict[str, object]:
    """Count what came out, by id."""
    topics = Topics(kafka.topic_prefix)
    accepted: Counter[str] = Counter()
    for _, record in read_topic(kafka, topics.events):
        accepted[json.loads(record.value or b"{}")["event_id"]] += 1
    given: Counter[str] = Counter()
    paths: Counter[str] = Counter()
    waited_s: list[float] = []
    asked_ms = {}
    for _, record in read_topic(kafka, topics.requests):
        asked_ms[json.loads(record.value or b"{}")["request_id"]] = record.timestamp
    for _, record in read_topic(kafka, topics.recommendations):
        answer = decode_recommendation(record.value or b"")
        if answer.request_id is None:
            continue
        given[answer.request_id] += 1
        paths[answer.path] += 1
        if answer.path != "expired":
            waited_s.append((answer.ts_ms - asked_ms[answer.request_id]) / 1000)
    waited_s.sort()
    return {
        "accepted": len(accepted),
        "accepted_twice": sum(n > 1 for n in accepted.values()),
        "answered": len(given),
        "answered_twice": sum(n > 1 for n in given.values()),
        "paths": dict(paths),
        "waited_for_a_list_s": {
            name: round(waited_s[min(len(waited_s) - 1, int(share * len(waited_s)))], 2)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
            if waited_s
        },
        "dead_letters": sum(1 for _ in read_topic(kafka, topics.dead_letters)),
    }


def flood(minutes: float, times: float, drain_minutes: float, folder: Path) -> dict[str, object]:
    """Run it; the figures."""
    settings = Settings.load().with_values(
        {**SETTINGS, "run.data_dir": str(folder)}, "the bench of backpressure"
    )
    stop = threading.Event()
    with Supervisor(settings, say=lambda text: print(text, file=sys.stderr)) as stack:
        watch = Watch(stack)
        shop = [record for record in Shop(seed=5).item_records()][:ITEMS]
        items = [json.loads(record.value or b"{}")["item_id"] for record in shop]
        with closing(KafkaProducer(**stack.kafka.client_settings())) as producer:
            for record in shop:
                producer.send(f"{stack.kafka.topic_prefix}items", record.value, record.key)
            producer.flush(60)
        until_read(watch, {"items"}, 120, "items")
        mine = {"clicks", "events"}
        with closing(Flood(stack.kafka, items)) as producers:
            burst_s = None
            for phase in ("warm", "burst"):
                producers.send(BURST)
                burst_s = until_read(watch, mine, 600, phase)
                if burst_s is None:
                    sys.exit(f"a burst of {BURST} is not read in 10 minutes")
            assert burst_s is not None
            capacity = BURST / burst_s
            print(f"capacity {capacity:.0f} views/s", file=sys.stderr)
            watch.look("idle")
            player = threading.Thread(
                target=producers.play, args=(times * capacity, minutes * 60, stop), daemon=True
            )
            started_s = time.monotonic()
            player.start()
            while player.is_alive():
                player.join(LOOK_S)
                watch.look("flood")
            flood_s = time.monotonic() - started_s
            flooded = producers.views - 2 * BURST
            longest = max(watch.lags)
            drained_s = until_read(watch, {*mine, "requests"}, drain_minutes * 60, "drain")
            views, requests = producers.views, producers.requests
        watch.look("end")
        rss = {
            name: {
                "first_mb": round(seen[0]),
                "most_mb": round(max(seen)),
                "last_mb": round(seen[-1]),
            }
            for name, seen in watch.most.items()
        }
        found = accounts(stack.kafka)
        restarts = {status.name: status.restarts for status in stack.status()}
    return {
        "minutes": minutes,
        "capacity_per_s": round(capacity, 1),
        "produced_per_s": round(flooded / flood_s, 1),
        "times_capacity": round(flooded / flood_s / capacity, 1),
        "views": views,
        "requests": requests,
        **found,
        "longest_lag": longest,
        "drained_s": round(drained_s, 1) if drained_s is not None else None,
        "rss": rss,
        "restarts": restarts,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the flood lasts")
    parser.add_argument("--times", type=float, default=TIMES, help="of the capacity")
    parser.add_argument("--drain-minutes", type=float, default=120.0)
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = flood(options.minutes, options.times, options.drain_minutes, Path(folder))
    for name, value in figures.items():
        print(f"{name:20} {value}")
    if options.json:
        print(json.dumps(figures))
    unread = figures["drained_s"] is None
    wrong = (figures["accepted"], figures["answered"]) != (figures["views"], figures["requests"])
    sys.exit(1 if not unread and (wrong or figures["answered_twice"]) else 0)


if __name__ == "__main__":
    main()
