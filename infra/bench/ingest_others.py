"""What ingest is compared with, each in a process of its own: raw aiokafka, and stock Faust."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer

from infra.bench.meter import Meter

FETCH = 4_000
"""Records of one `getmany` at most: as many as a run of ours has."""


def raw(servers: str, group: str, events: str) -> dict[str, float]:
    """Read with aiokafka and decode nothing: no consumer built on it can be faster."""
    return asyncio.run(_raw(servers, group, int(events)))


async def _raw(servers: str, group: str, events: int) -> dict[str, float]:
    meter = Meter(events)
    consumer = AIOKafkaConsumer(
        "clicks", bootstrap_servers=servers, auto_offset_reset="earliest", group_id=group
    )
    await consumer.start()
    try:
        while not meter.done:
            fetched = await consumer.getmany(timeout_ms=1_000, max_records=FETCH)
            meter.count(sum(map(len, fetched.values())))
    finally:
        await consumer.stop()
    return meter.figures()


def stock_faust(servers: str, group: str, events: str) -> dict[str, float]:
    """Read with Faust's own transport, decode JSON, count, one event at a time."""
    return asyncio.run(_stock_faust(servers, group, int(events)))


async def _stock_faust(servers: str, group: str, events: int) -> dict[str, float]:
    meter, done = Meter(events), asyncio.Event()
    app = faust.App(
        group, broker=f"kafka://{servers}", web_enabled=False, topic_disable_leader=True
    )
    topic = app.topic("clicks", value_serializer="json")

    @app.agent(topic)
    async def count(clicks: Any) -> None:
        async for click in clicks:
            assert click["user_id"]
            meter.count()
            if meter.done:
                done.set()

    await app.start()
    await done.wait()
    figures = meter.figures()
    await app.stop()
    return figures
