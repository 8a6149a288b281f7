"""What stands between Faust and an agent's function, so that no exception gets out.

Faust acknowledges a message even where its agent raised, and goes on after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from faust.types import Message

from stream.batching import Run
from stream.errors import Unavailable
from stream.metrics import RETRIES, WAITING
from stream.refusals import Refusals, Sifting

if TYPE_CHECKING:
    from stream.app import StreamApp

log = logging.getLogger(__name__)


class Delivery:
    """A run in an agent's hands, for agents that acknowledge by themselves."""

    def __init__(self, app: StreamApp, message: Message) -> None:
        self._app = app
        self._message = message

    def ack(self) -> bool:
        """Count the run as done; false where it was done before, or was taken back meanwhile."""
        return bool(self._app.consumer.ack(self._message))

    @property
    def current(self) -> bool:
        """Whether the partition is still ours and was not sought back since the fetch."""
        return bool(self._app.consumer.is_current(self._message))


Handler = Callable[..., Awaitable[None]]
"""`(run) -> None`, or `(run, delivery) -> None` where the function acknowledges by itself."""

Agent = Callable[[Any], Awaitable[None]]


def guarded(
    app: StreamApp,
    refusals: Refusals | None = None,
    prepare: Callable[[Run], object] | None = None,
) -> Callable[[Handler], Agent]:
    """Make a Faust agent of a function over runs that lets no exception out.

    - the function returned: the run is acknowledged (unless it takes a `Delivery`);
    - it raised `Unavailable`: the same run again, after a growing, jittered pause;
    - it raised anything else, and `refusals` is given: the records on which it fails are found and
      refused, all others are handled, and the run is acknowledged (see `stream.refusals.Sifting`,
      which `prepare` is for);
    - otherwise, or where too many fail: the process stops, the run isn't acknowledged.

    A function must therefore be safe to repeat. Runs of a partition come one after the other. One
    that takes a `Delivery` holds runs back, so it finds the records that it fails on itself.
    """

    def wrap(handle: Handler) -> Agent:
        manual = len(inspect.signature(handle).parameters) > 1
        assert not (manual and refusals), "a run that is held back can't be cut"

        async def pause(seconds: float) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await app.stopping.wait()

        @wraps(handle)
        async def agent(stream: Any) -> None:
            stream.enable_acks = False
            async for event in stream.events():
                delivery = Delivery(app, event.message)
                run: Run = event.value
                call: Callable[[], Awaitable[None]]
                if refusals is not None:
                    call = Sifting(refusals, run, handle, pause, prepare)
                else:
                    call = partial(handle, *((run, delivery) if manual else (run,)))
                if await _handle(app, delivery, call) and not manual:
                    delivery.ack()
                app.consumer.handled(event.message)
                if app.failed.is_set():
                    await asyncio.Event().wait()  # Until the stopping app cancels us.

        del agent.__wrapped__  # Its parameters aren't the agent's.
        return agent

    return wrap


async def _handle(app: StreamApp, delivery: Delivery, call: Callable[[], Awaitable[None]]) -> bool:
    """Run a handler until it succeeds; false where the run is no longer ours to finish."""
    config = app.stream_config
    pause_s = config.retry_s
    waiting = WAITING.labels(role=app.role)
    steps = [call, app.producer.flush]  # Table changes are on the broker before the run is done.
    while delivery.current and not app.failed.is_set() and not app.stopping.is_set():
        try:
            with app.working():
                while steps:
                    await steps[0]()
                    del steps[0]
        except Unavailable as error:
            log.warning("role %s waits %.1f s: %s", app.role, pause_s, error)
            RETRIES.labels(role=app.role).inc()
        except Exception as error:
            app.fail(error)
            return False
        else:
            return True
        app.waiting += 1
        waiting.set(app.waiting)
        try:
            async with asyncio.timeout(pause_s * random.uniform(0.5, 1.0)):
                await app.stopping.wait()
        except TimeoutError:
            pause_s = min(2 * pause_s, config.retry_max_s)
        finally:
            app.waiting -= 1
            waiting.set(app.waiting)
    return False
