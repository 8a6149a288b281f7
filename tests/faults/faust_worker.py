"""A consumer with one of Faust's faults provoked in it: on our transport, or on Faust's own.

It says what it does through a pipe, so that a test knows what was finished before a kill.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import aiokafka
import faust
from aiokafka.errors import CommitFailedError

from stream.app import Delivery, StreamApp, StreamConfig, guarded, make_app, run_app, run_topic
from stream.batching import Run
from stream.connect import KafkaConfig

ROLE = "worker"

Fault = Literal["past-in-flight", "failed-commit", "raised", "none"]


class Plan(NamedTuple):
    """What is to go wrong.

    Attributes
    ----------
    at
        The run, or on stock Faust the record, that is never finished, or raises.
    fails
        Commits that fail before one is let through.
    """

    fault: Fault
    seed: int = 0
    at: int = 0
    fails: int = 0
    stock: bool = False


class Mouth:
    """The pipe's end, for Faust's thread and ours."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, what: tuple[str, int, list[int]]) -> None:
        """Say something."""
        with self._lock:
            self._pipe.send(what)


def work(kafka: KafkaConfig, plan: Plan, data: str, pipe: Connection) -> int:
    """Run the consumer until SIGTERM."""
    said = Mouth(pipe)
    logging.basicConfig(level=logging.WARNING)
    if plan.fault == "failed-commit":
        _fail_commits(plan, said)
    if plan.stock:
        return asyncio.run(_stock(kafka, plan, said))
    return _ours(kafka, plan, data, said)


def _ours(kafka: KafkaConfig, plan: Plan, data: str, said: Mouth) -> int:
    config = StreamConfig(max_run_records=5, commit_interval_s=0.05, instance="one")
    app = make_app(ROLE, kafka, config, Path(data))
    topic = run_topic(app, f"{kafka.topic_prefix}clicks")
    if plan.fault == "past-in-flight":
        _acknowledge_in_any_order(app, topic, plan, said)
        return run_app(app, on_ready=lambda: said.send(("ready", 0, [])))
    runs = 0

    async def handle(run: Run) -> None:
        nonlocal runs
        runs += 1
        offsets = [record.offset for record in run.records]
        if plan.fault == "raised" and runs == plan.at:
            said.send(("held", run.partition, offsets))
            message = "a fault in the agent"
            raise ZeroDivisionError(message)
        said.send(("end", run.partition, offsets))

    app.agent(topic)(guarded(app)(handle))
    return run_app(app, on_ready=lambda: said.send(("ready", 0, [])))


def _acknowledge_in_any_order(app: StreamApp, topic: Any, plan: Plan, said: Mouth) -> None:
    """Finish runs in a drawn order; one of them never."""
    rng, open_runs, runs = Random(plan.seed), list[tuple[Run, Delivery]](), 0

    async def handle(run: Run, delivery: Delivery) -> None:
        nonlocal runs
        runs += 1
        if runs == plan.at:
            said.send(("held", run.partition, [record.offset for record in run.records]))
        else:
            open_runs.append((run, delivery))

    async def finish(_: Any = None) -> None:
        while not app.stopping.is_set():
            await asyncio.sleep(0.01)
            rng.shuffle(open_runs)
            keep = rng.randrange(3) if len(open_runs) > 2 else 0
            while len(open_runs) > keep:
                run, delivery = open_runs.pop()
                said.send(("end", run.partition, [record.offset for record in run.records]))
                delivery.ack()

    app.agent(topic)(guarded(app)(handle))
    app.task(finish)


async def _stock(kafka: KafkaConfig, plan: Plan, said: Mouth) -> int:
    """Run the same on Faust as it comes, whose agents take one record at a time."""
    app = faust.App(
        f"{kafka.topic_prefix}{ROLE}",
        broker=f"kafka://{kafka.bootstrap_servers}",
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        value_serializer="raw",
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id="one",
        broker_commit_interval=0.05,
        stream_wait_empty=False,
    )
    records = 0

    async def handle(stream: Any) -> None:
        nonlocal records
        async for event in stream.events():
            records += 1
            partition, offset = event.message.partition, event.message.offset
            if records == plan.at:
                said.send(("held", partition, [offset]))
                if plan.fault == "raised":
                    message = "a fault in the agent"
                    raise ZeroDivisionError(message)
                await asyncio.Event().wait()
            said.send(("end", partition, [offset]))

    topic = app.topic(f"{kafka.topic_prefix}clicks", value_serializer="raw")
    app.agent(topic, concurrency=2 if plan.fault == "past-in-flight" else 1)(handle)
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await app.start()
    said.send(("ready", 0, []))
    await told.wait()
    await app.stop()
    return 0


def _fail_commits(plan: Plan, said: Mouth) -> None:
    real = aiokafka.AIOKafkaConsumer.commit
    left = plan.fails

    async def commit(consumer: Any, offsets: Any = None) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            said.send(("refused", left, []))
            message = "the group has already rebalanced"
            raise CommitFailedError(message)
        await real(consumer, offsets)

    aiokafka.AIOKafkaConsumer.commit = commit
