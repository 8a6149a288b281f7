"""The agent of the catalogue: `items` in, `item-vectors` out.

When an offset counts as done: after every item of its run is on `item-vectors`.

1. Items are validated; what is refused goes to `dead-letters`, a tombstone passes as a tombstone.
2. Texts that are new or changed are encoded, some at a time, and each part is published at once. An
   item on which this fails is refused alone.
3. The run is acknowledged.

A crash before 3 repeats the run; what was encoded before the crash is not encoded again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import msgspec

from features.catalogs import Catalogs
from learner.catalogue import PENDING, Encodes, describe_item, encode_items
from stream.batching import Record, Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.deadletter import dead_letter, publish_letters
from stream.errors import BadRecord
from stream.events import Item, ItemVector, msgpack_encode
from stream.metrics import DEAD_LETTERS, ENCODED_ITEMS, RUN_RECORDS, RUN_SECONDS
from stream.outgoing import Outgoing, Publishes
from stream.parse import parse_item, parse_item_key
from stream.refusals import PROCESS_FAULTS, Refusals, Refused
from stream.tenants import ONE_SHOP, inside
from stream.topics import Topics

ROLE = "catalogue"

log = logging.getLogger(__name__)


class _Found(NamedTuple):
    """An item, whose id carries its tenant, and the record that it was read from."""

    item: Item
    run: Run
    record: Record


class CatalogueAgent:
    """The agent's function, free of Faust: `done = await agent(run)`.

    Parameters
    ----------
    catalogs
        What is known already.
    encoder
        Makes the text encoder, once for all shops, in a worker thread: loading it takes seconds.
    stopping
        Set when the process is to stop: a run that still encodes is then left unfinished.
    tenants
        The shops beside the one without a name.
    """

    def __init__(
        self,
        *,
        kafka: KafkaConfig,
        publisher: Publishes,
        catalogs: Catalogs,
        encoder: Callable[[], Encodes],
        clock: Clock,
        stopping: asyncio.Event,
        tenants: Collection[str] = ONE_SHOP,
    ) -> None:
        self._tenants = tenants
        self._topics = Topics(kafka.topic_prefix)
        self._publisher = publisher
        self._refusals = Refusals(ROLE, kafka, publisher, clock)
        self._catalogs = catalogs
        self._make_encoder = encoder
        self._encoder: Encodes | None = None
        self._preparing = asyncio.Lock()
        self._clock = clock
        self._stopping = stopping

    async def prepare(self) -> Encodes:
        """Load the encoder, unless it is loaded: at start, so that the first item need not wait."""
        async with self._preparing:
            if self._encoder is None:
                self._encoder = await asyncio.to_thread(self._make_encoder)
            return self._encoder

    async def __call__(self, run: Run) -> bool:
        """Take a run through all its steps but the acknowledgement; false if it was cut short."""
        started_s = self._clock.monotonic_s()
        # 1. Of several states of an item in the run, the last one counts.
        items, deleted, letters, refused = self._sort(run)
        await publish_letters(self._publisher, self._topics.dead_letters, letters)
        await self._publisher.publish(
            self._topics.item_vectors, [Outgoing(item_id.encode(), None) for item_id in deleted]
        )
        # 2.
        if items and not await self._encode(items, refused):
            return False
        self._refusals.count(run, refused)
        await self._refusals.publish(refused)
        RUN_RECORDS.labels(stage=ROLE).observe(len(run.records))
        RUN_SECONDS.labels(stage=ROLE).observe(self._clock.monotonic_s() - started_s)
        return True

    def _sort(self, run: Run) -> tuple[list[_Found], list[str], list[Outgoing], list[Refused]]:
        newest: dict[str, _Found | None] = {}
        letters: list[Outgoing] = []
        refused: list[Refused] = []
        now_ms = self._clock.now_ms()
        for record in run.records:
            try:
                if record.value is None:
                    newest[parse_item_key(record, self._tenants)] = None
                else:
                    item = parse_item(record, self._tenants)
                    whole = inside(item.tenant, item.item_id)
                    item = msgspec.structs.replace(item, item_id=whole)
                    newest[whole] = _Found(item, run, record)
            except BadRecord as error:
                DEAD_LETTERS.labels(role=ROLE, reason=error.reason).inc()
                letters.append(dead_letter(record, run.topic, run.partition, ROLE, error, now_ms))
            except PROCESS_FAULTS:
                raise
            except Exception as error:
                refused.append(Refused(run.topic, run.partition, record, error, tries=1))
        items = [found for found in newest.values() if found is not None]
        deleted = [item_id for item_id, found in newest.items() if found is None]
        return items, deleted, letters, refused

    async def _encode(self, found: Sequence[_Found], refused: list[Refused]) -> bool:
        """Encode all at once; if that fails, one by one, and what fails alone is refused."""
        try:
            return await self._encode_all([item for item, _, _ in found])
        except PROCESS_FAULTS:
            raise
        except Exception as error:
            if self._encoder is None:
                raise  # It can't be loaded: that's no item's fault.
            if len(found) == 1:
                _, run, record = found[0]
                refused.append(Refused(run.topic, run.partition, record, error))
                return True
            log.warning("%d items are encoded one by one: %r", len(found), error)
        for one in found:
            if not await self._encode([one], refused):
                return False
        return True

    async def _encode_all(self, items: Sequence[Item]) -> bool:
        if self._encoder is None:
            await self._announce(
                [item for item in items if self._catalogs.known(item.item_id) is None]
            )
        encoder = await self.prepare()
        parts = encode_items(
            items,
            encoder,
            self._catalogs.known,
            self._clock.now_ms(),
            twin=self._catalogs.twin,
        )
        while (part := await asyncio.to_thread(_next, parts)) is not None:
            await self._publisher.publish(
                self._topics.item_vectors,
                [Outgoing(vector.item_id.encode(), msgpack_encode(vector)) for vector in part],
            )
            ENCODED_ITEMS.inc(sum(bool(vector.vector) for vector in part))
            if self._stopping.is_set():
                return False
        return True

    async def _announce(self, items: Sequence[Item]) -> None:
        """Make new items known while the encoder loads: what happens to them counts at once."""
        now_ms = self._clock.now_ms()
        announced = [describe_item(item, PENDING, None, now_ms) for item in items]
        await self._publisher.publish(
            self._topics.item_vectors,
            [Outgoing(vector.item_id.encode(), msgpack_encode(vector)) for vector in announced],
        )


def _next(parts: Iterator[list[ItemVector]]) -> list[ItemVector] | None:
    return next(parts, None)
