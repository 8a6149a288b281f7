"""Following `forget` in every worker, whatever partitions it owns: whose events come too late.

A role awaits `load` before it reads a partition: what its predecessor knew has to be known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from stream.app import StreamApp
from stream.broadcast import BroadcastReader, OnRecord
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.forget import Forgotten
from stream.topics import Topics

LOAD_TIMEOUT_S = 30.0
LOAD_TRIES = 4
"""A partition's events wait until it is known whom to forget; a broker that is away for longer than
this ends the process, as it would anywhere else."""

FOLLOW_S = 2.0
"""Pause between two looks at `forget`: how long files of partitions that belong to others stay."""

log = logging.getLogger(__name__)


class Follows(Protocol):
    """What is needed of a `BroadcastReader` of `forget`."""

    def load(self, on_record: OnRecord, timeout_s: float) -> int:
        """Read up to the end as it is now."""

    def poll(self, on_record: OnRecord, timeout_s: float) -> int:
        """Read what is new."""

    def first_offsets(self) -> dict[int, int]:
        """Where each partition begins."""

    def close(self) -> None:
        """Disconnect."""


class ForgetFollower:
    """Keeps `Forgotten` as the topic is, in every worker, whatever partitions it owns.

    Parameters
    ----------
    reader
        Reads all of `forget`.
    forgotten
        What is kept up to date.
    scrub_copies
        Told of users' keys, erases them from local files of partitions that others own.
    """

    def __init__(
        self,
        reader: Follows,
        forgotten: Forgotten,
        scrub_copies: Callable[[Sequence[bytes]], Awaitable[None]] | None = None,
    ) -> None:
        self._reader = reader
        self._forgotten = forgotten
        self._scrub_copies = scrub_copies
        self._reading = asyncio.Lock()
        self._heard: list[bytes] = []

    async def load(self) -> None:
        """Know everybody who is to be forgotten by now: before partitions of `events` are read."""
        async with self._reading:
            for tries in range(LOAD_TRIES):
                try:
                    return await self._read(self._reader.load, LOAD_TIMEOUT_S)
                except Unavailable as error:
                    if tries == LOAD_TRIES - 1:
                        raise
                    log.warning("whom to forget isn't known yet: %s", error)

    async def follow(self, stopping: asyncio.Event) -> None:
        """Follow the topic until told to stop; a broker that is away is waited for."""
        try:
            while not stopping.is_set():
                try:
                    async with asyncio.timeout(FOLLOW_S):
                        await stopping.wait()
                except TimeoutError:
                    await self.look()
        finally:
            async with self._reading:
                await asyncio.to_thread(self._reader.close)

    async def look(self) -> None:
        """Hear what is new, and drop what is done."""
        async with self._reading:
            try:
                await self._read(self._reader.poll, 0.1)
                if len(self._forgotten):
                    self._forgotten.trim(await asyncio.to_thread(self._reader.first_offsets))
            except Unavailable as error:
                log.warning("whom to forget isn't followed now: %s", error)
                return
        heard, self._heard = self._heard, []
        if heard and self._scrub_copies is not None:
            await self._scrub_copies(heard)

    async def _read(self, read: Callable[[OnRecord, float], int], timeout_s: float) -> None:
        records: list[Any] = []
        try:
            await asyncio.to_thread(read, records.append, timeout_s)
        finally:  # what was read before a failure isn't read again
            for record in records:
                users = self._forgotten.take(record.partition, [record])
                self._heard += [user_id.encode() for user_id in users]


def follow_forget(
    app: StreamApp,
    kafka: KafkaConfig,
    forgotten: Forgotten,
    scrub_copies: Callable[[Sequence[bytes]], Awaitable[None]] | None = None,
) -> ForgetFollower:
    """Put a follower of `forget` on an app, as a task; `load` is the caller's to await."""
    reader = BroadcastReader(kafka, Topics(kafka.topic_prefix).forget)
    follower = ForgetFollower(reader, forgotten, scrub_copies)

    async def follow_whom_to_forget(_: Any = None) -> None:
        try:
            await follower.follow(app.stopping)
        except Exception as error:
            app.fail(error)

    app.task(follow_whom_to_forget)
    return follower
