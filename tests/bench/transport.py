"""Events/s of a Faust agent over runs, beside raw aiokafka on the same topic of the same broker.

The agent decodes small JSON clicks with msgspec and counts them per user; with a table, it also
writes every user's count, whose change goes to the changelog.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer

from infra.bench.topic import create
from infra.broker import EmbeddedKafka
from stream.app import StreamConfig, bytes_table, guarded, make_app, run_app, run_topic
from stream.batching import Run
from stream.connect import KafkaConfig
from stream.events import Click
from stream.outgoing import Outgoing
from stream.publish import Publisher

EVENTS = 200_000
USERS = 5_000
TOPIC = "clicks"


async def fill(servers: str) -> float:
    """Publish the events; records/s."""
    publisher = Publisher(KafkaConfig(bootstrap_servers=servers, topic_prefix=""))
    click = '{"user_id":"u%d","item_id":"i%d","ts":1700000000000,"action":"click"}'
    records = [
        Outgoing(b"u%d" % (n % USERS), (click % (n % USERS, n % 997)).encode())
        for n in range(EVENTS)
    ]
    await publisher.publish(TOPIC, records[:1])
    started_s = time.perf_counter()
    for at in range(1, EVENTS, 2_000):
        await publisher.publish(TOPIC, records[at : at + 2_000])
    rate = EVENTS / (time.perf_counter() - started_s)
    await publisher.stop()
    return rate


async def raw(servers: str) -> float:
    """Read everything with aiokafka, nothing decoded; records/s from the first fetch on."""
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=servers, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    count, started_s = 0, 0.0
    while count < EVENTS:
        fetched = await consumer.getmany(timeout_ms=1_000, max_records=4_000)
        started_s = started_s or time.perf_counter()
        count += sum(map(len, fetched.values()))
    await consumer.stop()
    return EVENTS / (time.perf_counter() - started_s)


def agent(servers: str, kind: str) -> None:
    """Read everything with an agent, in this process; prints events/s from the first run on."""
    with tempfile.TemporaryDirectory() as folder:
        kafka = KafkaConfig(bootstrap_servers=servers, topic_prefix="")
        app = make_app(f"bench-{kind}", kafka, StreamConfig(), Path(folder))
        table = bytes_table(app, "counts", kafka.partitions) if kind == "table" else None
        decode = msgspec.json.Decoder(Click).decode
        seen, started_s = 0, 0.0

        async def count(run: Run) -> None:
            nonlocal seen, started_s
            started_s = started_s or time.perf_counter()
            counts: dict[str, int] = {}
            for record in run.records:
                user = decode(record.value or b"").user_id
                counts[user] = counts.get(user, 0) + 1
            if table is not None:
                for user, number in counts.items():
                    table[user.encode()] = b"%d" % number
            seen += len(run.records)
            if seen >= EVENTS:
                print(EVENTS / (time.perf_counter() - started_s), flush=True)
                app.stopping.set()

        app.agent(run_topic(app, TOPIC))(guarded(app)(count))
        run_app(app)


def main(arguments: Sequence[str]) -> None:
    """Print a line per figure, all measured in this one call."""
    argparse.ArgumentParser(prog=sys.argv[0], description=__doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka(Path(folder)) as broker:
        servers = broker.bootstrap_servers
        create(servers, {TOPIC: 4})
        rates = {"publish": asyncio.run(fill(servers)), "raw": asyncio.run(raw(servers))}
        for kind in ("agent", "table"):
            command = [sys.executable, "-m", "tests.bench.transport", servers, kind]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rates[kind] = float(done.stdout.split()[-1])
    for name, rate in rates.items():
        line = {"name": f"transport.{name}", "value": round(rate), "unit": "events/s"}
        line |= {"against": {"raw aiokafka": round(rates["raw"])}, "ratio": rate / rates["raw"]}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == len(("module", "servers", "kind")):  # one agent, in a process of its own
        agent(*sys.argv[1:])
    else:
        main(sys.argv[1:])
