"""Following a topic in every worker, whatever partitions it owns.

A role awaits `load` before it reads a partition: what its predecessor knew has to be known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from stream.app import StreamApp
from stream.broadcast import OnRecord
from stream.errors import Unavailable

LOAD_TIMEOUT_S = 30.0
LOAD_TRIES = 4
"""A partition's events wait until it is known what they wait for; a broker that is away for longer
than this ends the process, as it would anywhere else."""

RETRY_S = 1.0
"""Pause after a broker didn't answer, at least."""

log = logging.getLogger(__name__)


class Follows(Protocol):
    """What is needed of a `BroadcastReader`."""

    def load(self, on_record: OnRecord, timeout_s: float) -> int:
        """Read up to the end as it is now."""

    def poll(self, on_record: OnRecord, timeout_s: float) -> int:
        """Read what is new."""

    def close(self) -> None:
        """Disconnect."""


class Follower:
    """Keeps something as a topic is.

    Parameters
    ----------
    reader
        Reads all of the topic.
    take
        Takes a record, in the event loop.
    what
        What is not known without them, for the log.
    poll_s
        How long one look may wait: it ends with the first record.
    pause_s
        From one look to the next.
    """

    def __init__(
        self,
        reader: Follows,
        take: Callable[[Any], object],
        what: str,
        *,
        poll_s: float,
        pause_s: float,
    ) -> None:
        self._reader = reader
        self._take = take
        self._what = what
        self._poll_s = poll_s
        self._pause_s = pause_s
        self._reading = asyncio.Lock()

    async def load(self) -> None:
        """Know all there is by now.

        Raises
        ------
        Unavailable
            If the broker doesn't answer, try after try.
        """
        async with self._reading:
            for tries in range(LOAD_TRIES):
                try:
                    return await self._read(self._reader.load, LOAD_TIMEOUT_S)
                except Unavailable as error:
                    if tries == LOAD_TRIES - 1:
                        raise
                    log.warning("%s isn't known yet: %s", self._what, error)

    async def follow(self, stopping: asyncio.Event) -> None:
        """Follow the topic until told to stop; a broker that is away is waited for."""
        pause_s = self._pause_s
        try:
            while not await is_set_within(pause_s, stopping):
                answered = await self.look()
                pause_s = self._pause_s if answered else max(RETRY_S, self._pause_s)
        finally:
            async with self._reading:
                await asyncio.to_thread(self._reader.close)

    async def look(self) -> bool:
        """Take what is new; says whether the broker answered."""
        async with self._reading:
            try:
                await self._read(self._reader.poll, self._poll_s)
                await self._looked()
            except Unavailable as error:
                log.warning("%s isn't followed now: %s", self._what, error)
                return False
        return True

    async def _looked(self) -> None:
        """What is to be asked of the topic beside its records."""

    async def _read(self, read: Callable[[OnRecord, float], int], timeout_s: float) -> None:
        records: list[Any] = []
        try:
            await asyncio.to_thread(read, records.append, timeout_s)
        finally:  # what was read before a failure isn't read again
            for record in records:
                self._take(record)


async def is_set_within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event, so long at most; says whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def keep_following(app: StreamApp, follower: Follower) -> None:
    """Make a follower a task of an app, which fails where the follower does."""

    async def follow(_: Any = None) -> None:
        try:
            await follower.follow(app.stopping)
        except Exception as error:
            app.fail(error)

    app.task(follow)
