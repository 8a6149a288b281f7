"""How changes of Faust's tables reach their changelog topics: in batches, for certain, in order.

A process that was stopped for longer than its session wakes in the middle of a run of partitions
that others have. What it would write then is older than what they wrote: on the changelog it would
undo that, and on its own disk the offset of its change would hide it. So

1. changes go out only if the group has counted us in within half a session;
2. if a batch doesn't follow directly on the last one that we know, somebody else wrote in between,
   and the group is asked who is right. Who is out of the group forgets its changes, remembers no
   offset, and comes back by a rebalance, which recovers its tables from where they were;
3. what was written between the two is not applied in a recovery (`bytes_table`, `older`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, RecordMetadata
from faust.types.tuples import FutureMessage

from stream.batches import send_in_batches
from stream.errors import Unavailable
from stream.outgoing import Outgoing

_OUT = "the group has gone on without this process, which was silent for too long"

log = logging.getLogger(__name__)


class Producer(driver.Producer):
    """Writes table changes in batches, and knows whether the broker has them.

    Faust's own producer sends them one by one; its flush gives up after a tenth of a second and
    only logs a change that was lost, so that a run could be committed without it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._changes: list[FutureMessage] = []
        self._flushing = asyncio.Lock()
        self._next: dict[TP, int] = {}
        self._out = False
        self._counted_in_s = 0.0

    def claim(self, ends: Mapping[TP, int]) -> None:
        """Begin anew after a rebalance: these changelog partitions are ours, and end here.

        Changes that are not on the broker are forgotten: their runs come again.
        """
        self._changes.clear()
        self._next = dict(ends)
        self._out = False

    def send_soon(self, fut: FutureMessage) -> None:
        """Take a table change; `flush` sends it."""
        self._changes.append(fut)

    async def flush(self) -> None:
        """Return when every table change taken so far is on the broker.

        Raises
        ------
        Unavailable
            The broker didn't take them in time: they are kept for the next flush. Or the group has
            gone on without us: they are forgotten.
        """
        async with self._flushing:
            if self._out:
                raise Unavailable(_OUT)
            changes = list(self._changes)
            if not changes:
                return
            half_s = self.app.conf.broker_session_timeout / 2
            if time.monotonic() - self._counted_in_s > half_s:
                await self._ask_group()
            groups: dict[TP, list[FutureMessage]] = {}
            for change in changes:
                pending = change.message
                tp = TP(pending.channel.get_topic_name(), pending.partition)
                groups.setdefault(tp, []).append(change)
            # All of them end before any is repeated: an old value must not land after a new one.
            ends = await asyncio.gather(
                *(self._send(tp, group) for tp, group in groups.items()), return_exceptions=True
            )
            for error in ends:
                if isinstance(error, KafkaError):
                    message = f"table changes did not reach their changelog: {error!r}"
                    raise Unavailable(message) from error
                if error is not None:
                    raise error
            sent = set(map(id, changes))
            self._changes = [change for change in self._changes if id(change) not in sent]

    async def rewrite(self, tp: TP, rows: Sequence[Outgoing]) -> int:
        """Write rows to a changelog, past all tables; returns the last one's offset, once acked."""
        acks = await send_in_batches(self._ensure_producer(), tp.topic, tp.partition, rows)
        results = await asyncio.gather(*(ack for ack, _ in acks))
        return int(results[-1].offset) + acks[-1][1] - 1

    async def _send(self, tp: TP, changes: list[FutureMessage]) -> None:
        records = [Outgoing(change.message.key, change.message.value) for change in changes]
        acks = await send_in_batches(self._ensure_producer(), tp.topic, tp.partition, records)
        results = await asyncio.gather(*(ack for ack, _ in acks))
        first, last, count = results[0], results[-1], acks[-1][1]
        if first.offset != self._next.get(tp, first.offset):
            log.warning("somebody else wrote to %s-%d", tp.topic, tp.partition)
            await self._ask_group()
        self._next[tp] = last.offset + count
        change = changes[-1]
        if not change.done() and change.message.callback is not None:
            # The table remembers up to which change of its changelog the local store has all.
            change.set_result(
                RecordMetadata(
                    topic=tp.topic,
                    partition=tp.partition,
                    topic_partition=tp,
                    offset=last.offset + count - 1,
                    timestamp=last.timestamp,
                    timestamp_type=last.timestamp_type,
                )
            )
            change.message.callback(change)

    async def _ask_group(self) -> None:
        asked_s = time.monotonic()
        counted_in = await self.app.consumer.in_group()
        if counted_in:
            self._counted_in_s = asked_s
            return
        if counted_in is None:
            message = "whether the group counts this process in can't be asked now"
            raise Unavailable(message)
        self._out = True
        self._changes.clear()
        raise Unavailable(_OUT)
