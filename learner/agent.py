"""The learner's agents on a Faust app, and the tasks that keep catalogue and versions going.

`items` become `item-vectors` (`learner.catalogue_agent`), `examples` become model versions on
`adapters` (`learner.examples_agent`); both say when an offset counts as done.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from features.catalog_follow import CatalogFollower, Reads
from features.catalogs import Catalogs
from learner.calibration_agent import add_calibration
from learner.catalogue import Encodes
from learner.catalogue_agent import CatalogueAgent
from learner.examples_agent import ROLE, ExamplesAgent
from learner.online import OnlineLearner
from learner.reading import ReadsReviews
from learner.shops_agent import ShopsAgent, folder_of
from stream.app import Delivery, StreamApp, guarded, run_topic
from stream.batching import Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.forget import Forgotten
from stream.forget_follow import follow_forget
from stream.outgoing import Publishes
from stream.tenants import ONE_SHOP
from stream.topics import Topics
from stream.variants import everybody

TICK_S = 0.05
"""Pause between two looks for a micro-batch that has waited long enough."""


def add_learner(
    app: StreamApp,
    *,
    kafka: KafkaConfig,
    publisher: Publishes,
    catalogs: Catalogs,
    reader: Reads,
    encoder: Callable[[], Encodes],
    learner: Callable[[str], OnlineLearner],
    review_reader: Callable[[], ReadsReviews] | None = None,
    folder: Path,
    clock: Clock,
    tenants: Collection[str] = ONE_SHOP,
    calibrates: bool = False,
    teaches: Callable[[str], bool] = everybody,
) -> None:
    """Put the learner on an app: two agents, and the tasks that keep catalogue and versions going.

    Parameters
    ----------
    catalogs, reader
        The items of each shop, filled and kept up to date from `item-vectors` by this app.
    encoder
        Makes the text encoder; called once, in a worker thread.
    learner
        Makes a shop's learner.
    review_reader
        Makes what reads a shop's reviews; without one, they count by their stars.
    folder
        Where checkpoints and versions are kept; serving reads the versions from here.
    tenants
        The shops beside the one without a name.
    calibrates
        Whether there are outcomes, from which to learn what scores are worth.
    teaches
        Whose events the model learns from.
    """
    topics = Topics(kafka.topic_prefix)
    forgotten = Forgotten()
    forgetting = follow_forget(app, kafka, forgotten)
    lock = asyncio.Lock()
    agent = ShopsAgent(
        kafka=kafka,
        publisher=publisher,
        clock=clock,
        folder=folder,
        lock=lock,
        make=lambda tenant: ExamplesAgent(
            kafka=kafka,
            learner=learner(tenant),
            publisher=publisher,
            folder=folder_of(folder, tenant),
            clock=clock,
            forgotten=forgotten,
            reader=review_reader() if review_reader is not None else None,
            tenant=tenant,
            lock=lock,
            teaches=teaches,
        ),
        tenants=tenants,
    )
    follower = CatalogFollower(reader, catalogs, lock)
    restored = asyncio.Event()
    items_agent = CatalogueAgent(
        kafka=kafka,
        publisher=publisher,
        catalogs=catalogs,
        encoder=encoder,
        clock=clock,
        stopping=app.stopping,
        tenants=tenants,
    )

    async def items(run: Run, delivery: Delivery) -> None:
        await follower.loaded.wait()  # what is encoded already isn't encoded again
        if await items_agent(run):
            delivery.ack()

    async def examples(run: Run, delivery: Delivery) -> None:
        await restored.wait()
        await agent.take(run, delivery)

    async def forget(run: Run) -> None:
        await restored.wait()
        await agent.forget(set(forgotten.take(run.partition, run.records)))

    async def start_offsets(committed: Mapping[Any, int | None]) -> Mapping[Any, int]:
        await forgetting.load()  # before examples are read, and whenever partitions move
        mine = {tp: at for tp, at in committed.items() if tp.topic == topics.examples}
        starts = agent.start_offsets({tp.partition: at for tp, at in mine.items()})
        return {tp: starts[tp.partition] for tp in mine if tp.partition in starts}

    async def restore() -> None:
        await follower.loaded.wait()
        await asyncio.to_thread(agent.restore)
        restored.set()
        await asyncio.to_thread(agent.prepare)

    async def tick() -> None:
        await restored.wait()
        while not app.stopping.is_set():
            await agent.tick()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await app.stopping.wait()

    _add_task(app, lambda: follower.follow(app.stopping))
    _add_task(app, restore)
    _add_task(app, items_agent.prepare)
    _add_task(app, tick)
    app.on_drain = agent.drain
    app.start_offsets = start_offsets
    if calibrates:
        add_calibration(app, kafka=kafka, publisher=publisher, clock=clock)
    app.agent(run_topic(app, topics.items), name="catalogue")(guarded(app)(items))
    app.agent(run_topic(app, topics.examples), name=ROLE)(guarded(app)(examples))
    app.agent(run_topic(app, topics.forget), name="forget")(guarded(app)(forget))


def _add_task(app: StreamApp, work: Callable[[], Awaitable[object]]) -> None:
    """Put a task on an app, which stops if it fails."""

    async def run(_: Any = None) -> None:
        try:
            await work()
        except Exception as error:
            app.fail(error)

    run.__name__ = run.__qualname__ = getattr(work, "__name__", "follow")
    app.task(run)
