"""Coroutines, one await at a time: the caller decides when each goes on, and with what."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any


class Point:
    """Somewhere to stop: just before an effect, or just after it.

    `may_fail` names the neighbour that may be away here; empty where nothing can go wrong.
    """

    __slots__ = ("may_fail", "name")

    def __init__(self, name: str, may_fail: str = "") -> None:
        self.name = name
        self.may_fail = may_fail

    def __await__(self) -> Generator[Point, None, None]:
        """Stop here."""
        yield self


class Loop:
    """As much of an event loop as `asyncio.to_thread` and `asyncio.Lock` ask for."""

    def __init__(self) -> None:
        self._soon: list[Callable[[], object]] = []

    def get_debug(self) -> bool:
        """No."""
        return False

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose callbacks run at the next `turn`."""
        loop: Any = self
        return asyncio.Future(loop=loop)

    def call_soon(self, callback: Any, *arguments: Any, context: Any = None) -> Any:
        """Call it at the next `turn`."""
        del context
        self._soon.append(lambda: callback(*arguments))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing goes wrong unseen: every task's error reaches the simulation."""

    def run_in_executor(self, executor: Any, func: Any, *arguments: Any) -> Any:
        """Call it here and now, with a stop before and after."""
        del executor
        return _in_line(lambda: func(*arguments))

    def turn(self) -> None:
        """Run what was to be called soon."""
        soon, self._soon = self._soon, []
        for call in soon:
            call()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Be the running loop of this thread."""
        loop: Any = self
        asyncio._set_running_loop(loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)


async def _in_line(call: Callable[[], Any]) -> Any:
    await Point("thread")
    result = call()
    await Point("thread done")
    return result


class Task:
    """A coroutine on its way.

    Attributes
    ----------
    at
        Where it stands; `None` before its first step.
    done
        Whether it has come to its end.
    """

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        self.name = name
        self.at: Point | None = None
        self.done = False
        self._coroutine = coroutine
        self._waits_for: asyncio.Future[Any] | None = None

    @property
    def runnable(self) -> bool:
        """Whether it can go on; it can't while it waits for a lock."""
        return not self.done and (self._waits_for is None or self._waits_for.done())

    def step(self, error: Exception | None = None) -> None:
        """Go on to the next stop; an error is raised where it stands."""
        self._waits_for = None
        try:
            found = self._coroutine.throw(error) if error else self._coroutine.send(None)
        except StopIteration:
            self.done = True
            return
        except BaseException:
            self.done = True
            raise
        if isinstance(found, Point):
            self.at = found
            return
        assert isinstance(found, asyncio.Future), f"{self.name} waits for {found!r}"
        found._asyncio_future_blocking = False
        self._waits_for = found

    def drop(self) -> None:
        """Forget it where it stands, as a killed process does."""
        self.done = True
        with contextlib.suppress(RuntimeError):  # one that awaits while it cleans up
            self._coroutine.close()
