"""Keeping a catalogue in step with `item-vectors`: loaded at the start, followed from then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from features.catalog import Catalog, is_damaged
from features.catalogs import Catalogs
from stream.batching import Record
from stream.errors import Halt, Unavailable
from stream.events import ItemVector, decode_item_vector
from stream.follow import is_set_within
from stream.metrics import CATALOGUE_ITEMS

log = logging.getLogger(__name__)

_LOAD_TIMEOUT_S = 30.0
_POLL_S = 0.25
"""How long one look for new items may wait: what an item's arrival is delayed by at most."""
_RETRY_S = 1.0


class Reads(Protocol):
    """What is needed of `stream.broadcast.BroadcastReader`."""

    def load(self, on_record: Callable[[Record], object], timeout_s: float) -> int:
        """Read up to the end as it is now."""

    def poll(self, on_record: Callable[[Record], object], timeout_s: float) -> int:
        """Read what is new."""

    def close(self) -> None:
        """Give the connections back."""


def take_records(catalog: Catalog, records: Sequence[Record], tenant: str = "") -> None:
    """Apply a shop's records of `item-vectors`: upserts, and deletes where the value is null.

    What can't be read is left out and logged. It is no dead letter, because every process reads the
    topic from its beginning at every start, and would write it again each time.

    Raises
    ------
    Halt
        If a vector doesn't fit the catalogue: another encoder wrote it.
    """
    upserts: list[ItemVector] = []
    try:
        for record in records:
            if record.value is None:
                catalog.upsert(upserts)
                upserts = []
                catalog.delete([(record.key or b"").decode("utf-8", "replace")])
                continue
            try:
                item = decode_item_vector(record.value)
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                log.warning("item-vectors@%d can't be read, left out: %s", record.offset, error)
                continue
            if is_damaged(item):
                log.warning("item-vectors@%d has a damaged vector, left out", record.offset)
                continue
            upserts.append(item)
        catalog.upsert(upserts)
    except ValueError as error:
        raise Halt(str(error)) from error
    available = int(catalog.available.sum())
    CATALOGUE_ITEMS.labels(state="available", tenant=tenant).set(available)
    CATALOGUE_ITEMS.labels(state="withdrawn", tenant=tenant).set(len(catalog) - available)


class CatalogFollower:
    """Reads in a worker thread, applies on the event loop, so that readers see whole items.

    Parameters
    ----------
    reader
        Where the items come from.
    catalog
        What is filled: one for all shops together, or one for each.
    lock
        Held while items are applied: for a role that reads the catalogue in other threads.

    Attributes
    ----------
    loaded
        Set once the catalogue holds what the topic held at the start.
    """

    def __init__(
        self, reader: Reads, catalog: Catalog | Catalogs, lock: asyncio.Lock | None = None
    ) -> None:
        self._reader = reader
        self._catalog = catalog
        self._lock = lock or asyncio.Lock()
        self.loaded = asyncio.Event()

    async def follow(self, stopping: asyncio.Event) -> None:
        """Follow the topic until told to stop; a broker that is away is waited for."""
        try:
            while not stopping.is_set():
                read, timeout_s = self._reader.poll, _POLL_S
                if not self.loaded.is_set():
                    read, timeout_s = self._reader.load, _LOAD_TIMEOUT_S
                records: list[Record] = []
                try:
                    await asyncio.to_thread(read, records.append, timeout_s)
                except Unavailable as error:
                    log.warning("the catalogue waits: %s", error)
                    await is_set_within(_RETRY_S, stopping)
                    read_all = False
                else:
                    read_all = True
                if records:
                    async with self._lock:
                        self._take(records)
                if read_all:
                    self.loaded.set()
        finally:
            await asyncio.to_thread(self._reader.close)

    def _take(self, records: Sequence[Record]) -> None:
        if isinstance(self._catalog, Catalog):
            take_records(self._catalog, records)
            return
        for tenant, some in self._catalog.sorted(records).items():
            take_records(self._catalog.of(tenant), some, tenant)
