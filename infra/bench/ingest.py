"""Ingest beside the consumers that it is compared with, on one broker and one topic.

Each consumer is a process of its own and a group of its own, and reads the same small JSON clicks
from 4 partitions, which were sent in batches of some 1,250, compressed by zstd. They take turns,
several times, and the best turn of each counts, because noise only ever slows one down. Every rate
is of the events after the first tenth (`infra.bench.meter`): starting, joining the group and
warming up count for nobody. Stock Faust gets fewer events, because it is slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from kafka import KafkaConsumer, TopicPartition

from infra.bench.bar import Bar, Run
from infra.bench.contest import Side, best_rates, script
from infra.bench.topic import broker, fill
from stream.errors import TidemillError
from stream.outgoing import Outgoing

EVENTS = 200_000
USERS = 5_000
ITEMS = 997
PARTITIONS = 4
TURNS = 3

FAUST_SHARE = 10
"""Stock Faust reads one in so many of the events."""

OF_QUIX, OF_FAUST, OF_RAW = 5.0, 40.0, 0.4
"""The bars."""

OURS = "infra.bench.ingest_ours"
OTHERS = "infra.bench.ingest_others"


def measure(run: Run) -> Iterable[Bar]:
    """Yield what ingest does beside Quix Streams, stock Faust and raw aiokafka."""
    count = run.sized(EVENTS, least=2_000)
    topics = {"clicks": PARTITIONS, "purchases": 1, "reviews": 1, "events": PARTITIONS}
    with broker(run, {**topics, "dead-letters": 1}) as kafka:
        servers = kafka.bootstrap_servers
        asyncio.run(fill(kafka, "clicks", clicks(count)))
        run.say(f"{count:,} clicks in {PARTITIONS} partitions")
        best = best_rates(run, servers, sides(run, count), TURNS)
        _check_events(servers, TURNS * count)
    return bars(best)


def clicks(count: int) -> Iterator[Outgoing]:
    """Small clicks with ids of their own, keyed by user.

    >>> print(*(click.value.decode() for click in clicks(1)))
    {"user_id":"u0","item_id":"i0","ts":1700000000000,"action":"click","event_id":"e0"}
    """
    for n in range(count):
        user, item = n % USERS, n * 31 % ITEMS
        text = (
            f'{{"user_id":"u{user}","item_id":"i{item}","ts":{1_700_000_000_000 + n},'
            f'"action":"click","event_id":"e{n}"}}'
        )
        yield Outgoing(b"u%d" % user, text.encode())


def bars(rates: dict[str, float]) -> list[Bar]:
    """Judge the rates, in events/s by name."""
    whole, swallowed = rates["ingest"], rates["ingest without producing"]
    return [
        _bar("ingest/quix", whole, "quix streams, consuming alone", rates, OF_QUIX),
        _bar("ingest/faust", whole, "stock faust", rates, OF_FAUST),
        _bar("ingest/raw", swallowed, "raw aiokafka", rates, OF_RAW),
    ]


def _bar(name: str, value: float, other: str, rates: dict[str, float], least: float) -> Bar:
    against = rates.get(other)
    words = f"≥ {least:.0%} of {other}" if least < 1 else f"≥ {least:g} × {other}"
    ratio = value / against if against else None
    return Bar(
        name=name,
        value=value,
        unit="events/s",
        against=rates,
        ratio=ratio,
        bar=words,
        holds=None if ratio is None else ratio >= least,
    )


def sides(run: Run, count: int) -> dict[str, Side]:
    """Who reads how much; Quix Streams only where it is installed."""
    found = {
        "raw aiokafka": Side(f"{OTHERS}:raw", count),
        "ingest": Side(f"{OURS}:whole", count),
        "ingest without producing": Side(f"{OURS}:swallowed", count),
        "stock faust": Side(f"{OTHERS}:stock_faust", max(1_000, count // FAUST_SHARE)),
    }
    if run.tools is not None:
        quix = Side(script("ingest_quix.py"), count, python=run.tools)
        found["quix streams, consuming alone"] = quix
    return found


def _check_events(servers: str, wanted: int) -> None:
    consumer = KafkaConsumer(bootstrap_servers=servers)
    try:
        ends = consumer.end_offsets([TopicPartition("events", p) for p in range(PARTITIONS)])
    finally:
        consumer.close()
    if (found := sum(ends.values())) != wanted:
        message = f"{found} events came out, {wanted} went in"
        raise TidemillError(message)
