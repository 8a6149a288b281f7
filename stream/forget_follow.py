"""Following `forget` in every worker, whatever partitions it owns: whose events come too late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from stream.app import StreamApp
from stream.broadcast import BroadcastReader
from stream.connect import KafkaConfig
from stream.follow import Follower, Follows, keep_following
from stream.forget import Forgotten
from stream.topics import Topics

FOLLOW_S = 2.0
"""Pause between two looks at `forget`: how long files of partitions that belong to others stay."""

POLL_S = 0.1


class FollowsForget(Follows, Protocol):
    """What is needed of a `BroadcastReader` of `forget`."""

    def first_offsets(self) -> dict[int, int]:
        """Where each partition begins."""


class ForgetFollower(Follower):
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
        reader: FollowsForget,
        forgotten: Forgotten,
        scrub_copies: Callable[[Sequence[bytes]], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(reader, self._hear, "whom to forget", poll_s=POLL_S, pause_s=FOLLOW_S)
        self._first_offsets = reader.first_offsets
        self._forgotten = forgotten
        self._scrub_copies = scrub_copies
        self._heard: list[bytes] = []

    async def look(self) -> bool:
        """Hear what is new, and drop what is done."""
        if not await super().look():
            return False
        heard, self._heard = self._heard, []
        if heard and self._scrub_copies is not None:
            await self._scrub_copies(heard)
        return True

    async def _looked(self) -> None:
        if len(self._forgotten):
            self._forgotten.trim(await asyncio.to_thread(self._first_offsets))

    def _hear(self, record: Any) -> None:
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
    keep_following(app, follower)
    return follower
