"""How changes of Faust's tables reach their changelog topics: in batches, and for certain."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, RecordMetadata
from faust.types.tuples import FutureMessage

from stream.errors import Unavailable
from stream.outgoing import Outgoing
from stream.publish import send_in_batches


class Producer(driver.Producer):
    """Writes table changes in batches, and knows whether the broker has them.

    Faust's own producer sends them one by one; its flush gives up after a tenth of a second and
    only logs a change that was lost, so that a run could be committed without it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._changes: list[FutureMessage] = []
        self._flushing = asyncio.Lock()

    def send_soon(self, fut: FutureMessage) -> None:
        """Take a table change; `flush` sends it."""
        self._changes.append(fut)

    async def flush(self) -> None:
        """Return when every table change taken so far is on the broker.

        Raises
        ------
        Unavailable
            The broker didn't take them in time. They are kept for the next flush.
        """
        async with self._flushing:
            changes = list(self._changes)
            if not changes:
                return
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
            del self._changes[: len(changes)]

    async def _send(self, tp: TP, changes: list[FutureMessage]) -> None:
        records = [Outgoing(change.message.key, change.message.value) for change in changes]
        acks = await send_in_batches(self._ensure_producer(), tp.topic, tp.partition, records)
        results = await asyncio.gather(*(ack for ack, _ in acks))
        last, count = results[-1], acks[-1][1]
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
