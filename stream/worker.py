"""Running a role's app: signals, readiness, watchdogs, and what the process's exit code says."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import uvloop
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import ensure_aiokafka_TP
from faust.types import TP

from stream.access import check_access
from stream.errors import TOO_MANY_REFUSED_EXIT, Halt, TooManyRefused
from stream.metrics import ROLE_READY

if TYPE_CHECKING:
    from stream.app import StreamApp

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Pause between two looks of the watchdogs; far below every limit that they guard."""

GARBAGE_AFTER = 20_000
"""Objects made before Python looks for garbage in cycles; its own 700 are a sixth of a run's
records. A run goes as a whole and without cycles, and looking for some in it took a quarter of
ingest's time."""

_FRAMES = 6
"""Shown of each task that stands still."""


def run_app(
    app: StreamApp,
    *,
    on_ready: Callable[[], None] | None = None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Run a role until it is told to stop; returns the process's exit code.

    SIGTERM and SIGINT end the runs in flight, commit, leave the group and return 0. Whatever
    makes the role fail returns 1, with nothing unfinished acknowledged, and 3 where too many
    records fail on us.

    Parameters
    ----------
    app
        From `make_app`, with its agents and tables.
    on_ready
        Called once, when partitions are assigned and tables recovered.
    on_stop
        Awaited at the end, when no run is in flight any more: where connections are closed.
    """
    gc.set_threshold(GARBAGE_AFTER, *gc.get_threshold()[1:])
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        code = loop.run_until_complete(_run(app, on_ready))
        if on_stop is not None:
            loop.run_until_complete(on_stop())
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left, timeout=1.0) if left else asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return code


async def _run(app: StreamApp, on_ready: Callable[[], None] | None) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stopping.set)

    async def announce() -> None:
        if on_ready is not None:
            on_ready()

    app.on_startup_finished = announce
    starting = asyncio.create_task(app.start())
    starting.add_done_callback(lambda task: _fail_with(app, task))
    watching = asyncio.create_task(_watch(app))
    watching.add_done_callback(lambda task: _fail_with(app, task))
    ends = [asyncio.create_task(event.wait()) for event in (app.stopping, app.failed)]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    ROLE_READY.set(0)
    app.stopping.set()
    watching.cancel()
    stop = asyncio.create_task(app.stop())
    await asyncio.wait([stop], timeout=app.stream_config.stop_timeout_s)
    if not stop.done():
        log.critical("role %s did not stop in time, and is cut off", app.role)
        logging.shutdown()
        os._exit(1)
    _fail_with(app, stop)
    starting.cancel()
    if isinstance(app.failure, TooManyRefused):
        return TOO_MANY_REFUSED_EXIT
    return 0 if app.failure is None else 1


def _fail_with(app: StreamApp, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        app.fail(task.exception() or Halt("unknown"))


async def _watch(app: StreamApp) -> None:
    """Fail the app when it stands still although there is something to do."""
    config = app.stream_config
    loop = asyncio.get_running_loop()
    seen: tuple[object, ...] | None = None
    since = loop.time()
    while True:
        await asyncio.sleep(LOOK_S)
        limit_s = config.stuck_after_s if app.ready else config.recovery_timeout_s
        now = await (_lag(app) if app.ready else _start(app))
        if now is None or now != seen:
            seen, since = now, loop.time()
        elif loop.time() - since > limit_s:
            message = (
                f"role {app.role} made no progress for {limit_s:g} s, at {now}: the process ends "
                "so that a new one can connect afresh; if this comes again while tables are "
                f"recovered, delete {app.conf.datadir} to rebuild them from their changelogs"
            )
            log.warning("role %s, at work on:\n%s", app.role, "\n".join(_waits(app)))
            raise Halt(message)


def _waits(app: StreamApp) -> Iterator[str]:
    """Where each task of the loops waits: the innermost lines of its own code."""
    for loop in (app.loop, app.consumer.fetch_loop):
        for task in asyncio.all_tasks(loop):
            frames: list[str] = []
            at: Any = task.get_coro()
            while (frame := getattr(at, "cr_frame", None)) is not None:
                frames.append(f"{at.__qualname__}:{frame.f_lineno}")
                at = at.cr_await
            yield f"  {' > '.join(frames[-_FRAMES:])} awaits {type(at).__name__}"


async def _start(app: StreamApp) -> tuple[object, ...]:
    """Return where a start or rebalance has got to."""
    recovery = app.tables.recovery
    if not recovery.in_recovery:
        return ("waiting for partitions", app.rebalancing_count, recovery.written)
    await _skip_hollow_end(app)
    return ("recovering tables, changes left", recovery.active_remaining_total())


async def _lag(app: StreamApp) -> tuple[object, ...] | None:
    """Return where fetching has got to, or `None` where nothing waits to be fetched."""
    consumer = app.consumer
    inputs = [tp for tp in consumer.assignment() if tp.topic not in app.tables.changelog_topics]
    if app.busy or app.waiting or not inputs:
        return None
    try:
        async with asyncio.timeout(app.stream_config.stuck_after_s / 3):
            ends = await consumer.highwaters(*map(ensure_aiokafka_TP, inputs))
            positions = {tp: await consumer.position(ensure_aiokafka_TP(tp)) for tp in inputs}
    except (KafkaError, TimeoutError, OSError):
        # The broker is away: a new process would not bring it back. Or it refuses us: that ends it.
        await asyncio.to_thread(check_access, app.kafka)
        return None
    behind = {TP(*tp): end for tp, end in ends.items() if (positions[TP(*tp)] or 0) < end}
    return ("records waiting to be fetched up to", sorted(behind.items())) if behind else None


async def _skip_hollow_end(app: StreamApp) -> None:
    # The end of a changelog may hold no record any more (compacted, or control records only).
    # Once everything before it was read, there is nothing left to wait for.
    recovery = app.tables.recovery
    if not app.tables.changelog_queue.empty():
        return
    for tp, highwater in list(recovery.active_highwaters.items()):
        have = recovery.active_offsets[tp]
        if have is not None and highwater is not None and have < highwater:
            if await app.consumer.hollow(tp, have, highwater):
                recovery.active_offsets[tp] = highwater
