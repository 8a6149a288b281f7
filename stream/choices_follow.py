"""Following `choices` in every worker: who isn't to be personalised, whatever partitions it owns.

A role awaits `load` before it reads a partition: what its predecessor knew has to be known.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from stream.app import StreamApp
from stream.broadcast import BroadcastReader, OnRecord
from stream.choices import Choices
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.topics import Topics

LOAD_TIMEOUT_S = 30.0
LOAD_TRIES = 4
"""As of `stream.forget_follow`: a broker that is away for longer ends the process."""

POLL_S = 0.25
"""How long one look may wait: it ends with the first record."""

RETRY_S = 1.0

log = logging.getLogger(__name__)


class Follows(Protocol):
    """What is needed of a `BroadcastReader` of `choices`."""

    def load(self, on_record: OnRecord, timeout_s: float) -> int:
        """Read up to the end as it is now."""

    def poll(self, on_record: OnRecord, timeout_s: float) -> int:
        """Read what is new."""

    def close(self) -> None:
        """Disconnect."""


class ChoicesFollower:
    """Keeps `Choices` as the topic is."""

    def __init__(self, reader: Follows, choices: Choices) -> None:
        self._reader = reader
        self._choices = choices
        self._reading = asyncio.Lock()

    async def load(self) -> None:
        """Know everybody's choice by now.

        Raises
        ------
        Unavailable
            If the broker doesn't answer, try after try.
        """
        async with self._reading:
            for tries in range(LOAD_TRIES):
                records: list[Any] = []
                try:
                    await asyncio.to_thread(self._reader.load, records.append, LOAD_TIMEOUT_S)
                except Unavailable as error:
                    if tries == LOAD_TRIES - 1:
                        raise
                    log.warning("who isn't to be personalised isn't known yet: %s", error)
                else:
                    return
                finally:  # what was read before a failure isn't read again
                    self._take(records)

    async def follow(self, stopping: asyncio.Event) -> None:
        """Follow the topic until told to stop; a broker that is away is waited for."""
        try:
            while not stopping.is_set():
                records: list[Any] = []
                async with self._reading:
                    try:
                        await asyncio.to_thread(self._reader.poll, records.append, POLL_S)
                    except Unavailable as error:
                        log.warning("choices are not followed now: %s", error)
                        await asyncio.sleep(RETRY_S)
                    self._take(records)
                await asyncio.sleep(0)
        finally:
            await asyncio.to_thread(self._reader.close)

    def _take(self, records: list[Any]) -> None:
        for record in records:
            self._choices.take(record)


def follow_choices(app: StreamApp, kafka: KafkaConfig, choices: Choices) -> ChoicesFollower:
    """Put a follower of `choices` on an app, as a task; `load` is the caller's to await."""
    follower = ChoicesFollower(BroadcastReader(kafka, Topics(kafka.topic_prefix).choices), choices)

    async def follow_who_opted_out(_: Any = None) -> None:
        try:
            await follower.follow(app.stopping)
        except Exception as error:
            app.fail(error)

    app.task(follow_who_opted_out)
    return follower
