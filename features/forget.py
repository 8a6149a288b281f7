"""The part of the profile that forgets: a user's state, their row for serving, what lies around.

When an offset of `forget` counts as done: after all that the profile has of its user is erased.

1. The user's events of before are dropped from now on (`stream.forget.Forgotten`).
2. The row goes from the online store; the user's words on `profiles` get a tombstone.
3. The state goes from the table; its changelog gets a tombstone.
4. The table's local files are rid of the bytes (`stream.scrub`).
5. The run is acknowledged, after the tombstone is on the broker.

A crash before 5 repeats the run: what is erased already is erased again, and with it what the user
did since. No run of `events` is in the middle of its work meanwhile: it would write back what it
has read.

A record that a producer has put on another partition than the user's goes to the right one, with
its time, and counts there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from features.store import OnlineStore
from stream.batching import Record, Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.deadletter import dead_letter
from stream.errors import BadRecord
from stream.forget import Forgotten, parse_forget, whom
from stream.metrics import DEAD_LETTERS, FORGOTTEN_USERS
from stream.outgoing import Outgoing, Publishes
from stream.publish import partition_of
from stream.tenants import ONE_SHOP
from stream.topics import Topics

ROLE = "profile"


class Erasable(Protocol):
    """What forgetting needs of a Faust table."""

    def __delitem__(self, key: bytes, /) -> None:
        """Delete a key, whether it is there or not."""


class ForgetAgent:
    """The agent's function, free of Faust: `await agent(run)`.

    Raises `Unavailable` where broker or store is away; the same run may then be given again.

    Parameters
    ----------
    lock
        Held while a run of `events` is at work.
    scrub
        Rids the files of a partition of the tables of what was deleted.
    """

    def __init__(
        self,
        *,
        kafka: KafkaConfig,
        tables: Sequence[Erasable],
        scrub: Callable[[int], Awaitable[None]],
        publisher: Publishes,
        store: OnlineStore,
        forgotten: Forgotten,
        lock: asyncio.Lock,
        clock: Clock,
        tenants: Collection[str] = ONE_SHOP,
    ) -> None:
        self._topics = Topics(kafka.topic_prefix)
        self._partitions = kafka.partitions
        self._tables = tables
        self._scrub = scrub
        self._publisher = publisher
        self._store = store
        self._forgotten = forgotten
        self._lock = lock
        self._clock = clock
        self._tenants = tenants

    async def __call__(self, run: Run) -> None:
        """Take a run through all its steps but the acknowledgement."""
        users: dict[str, Record] = {}
        strayed, letters = [], []
        for record in run.records:
            try:
                user_id = whom(parse_forget(record, self._tenants))
            except BadRecord as error:
                now_ms = self._clock.now_ms()
                letters.append(dead_letter(record, run.topic, run.partition, ROLE, error, now_ms))
                DEAD_LETTERS.labels(role=ROLE, reason=error.reason).inc()
                continue
            key = user_id.encode()
            if partition_of(key, self._partitions) == run.partition:
                users[user_id] = record
            else:
                strayed.append(Outgoing(key, record.value, timestamp_ms=record.timestamp))
        await self._publisher.publish(self._topics.dead_letters, letters)
        await self._publisher.publish(self._topics.forget, strayed)
        if not users:
            return
        async with self._lock:
            # 1. What is on its way comes too late.
            self._forgotten.take(run.partition, users.values())
            # 2. Serving finds nothing any more.
            await asyncio.to_thread(self._store.forget, list(users))
            gone = [Outgoing(user_id.encode(), None) for user_id in users]
            await self._publisher.publish(self._topics.profiles, gone)
            # 3. Nor does the profile. A crash from here on repeats it.
            for user_id in users:
                for table in self._tables:
                    del table[user_id.encode()]
            # 4. Nor does anybody who looks into its files.
            await self._scrub(run.partition)
        FORGOTTEN_USERS.inc(len(users))
