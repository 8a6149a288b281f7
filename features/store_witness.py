"""Rows that the online store has lost are written again: the states know them all.

A Redis that is killed comes back empty, or as it was minutes ago. So each partition of `events` has
a witness in the store: a row of its own, which says how far the rows of the partition go. It is
written with the rows of every run, and read before. If it is behind what was committed, or behind
what this process wrote last, the store has lost rows, and all rows of the partition's users are
written anew:

1. the witness says that the partition is being filled;
2. the rows are written, some hundred at a time;
3. if the witness still says so, nothing was lost meanwhile: it says now that all is whole.

A crash between two steps leaves a witness that is not whole: whoever has the partition next starts
again. Each change of a witness has a higher sequence than what was read, so that it stands whatever
its offset is: who was filling in may have been ahead of what is committed.

One window stays open: a store that loses its rows between the reading of the witness and the
writing of the run's rows, in one breath, has a whole witness and old rows. Only a process that is
stopped just there takes longer over it than Redis takes to start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from features.profile import features
from features.profile_state import decode
from features.store import OnlineStore, UserFeatures
from stream.batching import Run
from stream.errors import Unavailable
from stream.metrics import ONLINE_STORE_ROWS

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 500
"""Rows of one write: more hold the event loop up for tens of milliseconds."""

LOOK_S = 5.0
"""Pause between two looks while no event comes: how long lost rows stay lost, about."""

_NAME = "\x00rows-{}"
"""A witness's user id; no user has a control character in theirs."""


class _Mark(NamedTuple):
    """What a witness says: how far the rows go, and whether that is so or being mended."""

    sequence: int
    offset: int
    whole: bool

    def covers(self, offset: int) -> bool:
        """Whether all rows up to an offset are there."""
        return offset < 0 or (self.whole and self.offset >= offset)

    def next(self, offset: int, *, whole: bool) -> _Mark:
        """What replaces it in the store."""
        return _Mark(self.sequence + 1, offset, whole)

    def row(self, partition: int) -> UserFeatures:
        """The row in the store, which keeps the one of the highest sequence.

        >>> _of_row(_Mark(8, 3, True).row(0))
        _Mark(sequence=8, offset=3, whole=True)
        """
        says = f"{self.offset} {'whole' if self.whole else 'filling'}"
        return UserFeatures(
            user_id=_NAME.format(partition), updated_ms=self.sequence, last_event_id=says
        )


_NOTHING = _Mark(-1, -1, whole=False)


def _of_row(row: UserFeatures | None) -> _Mark:
    """Read a witness; without words it is an earlier release's, an offset doubled, odd if whole.

    >>> _of_row(UserFeatures(user_id="", updated_ms=7, last_event_id=""))
    _Mark(sequence=7, offset=3, whole=True)
    """
    if row is None:
        return _NOTHING
    offset, _, state = row.last_event_id.partition(" ")
    if not state:
        return _Mark(row.updated_ms, row.updated_ms // 2, row.updated_ms % 2 == 1)
    return _Mark(row.updated_ms, int(offset), state == "whole")


class Witness:
    """Notices what the store has lost, and fills it in.

    Not for concurrent use: whoever calls it holds back all other writers of states and rows.

    Parameters
    ----------
    store
        The online store.
    states
        All states of this process's table: user id and value, as bytes.

    Examples
    --------
    >>> from features.profile_state import EMPTY, encode
    >>> from features.store import MemoryStore
    >>> store, states = MemoryStore(), {b"ann": encode(EMPTY)}
    >>> witness = Witness(store, lambda: states.items())
    >>> witness.expect({-1: 10})  # a state that no event has touched has partition -1
    >>> asyncio.run(witness.check())
    1
    >>> asyncio.run(witness.check()), store.read(["ann"])[0].user_id
    (0, 'ann')
    """

    def __init__(
        self, store: OnlineStore, states: Callable[[], Iterable[tuple[bytes, bytes]]]
    ) -> None:
        self._store = store
        self._states = states
        self._must: dict[int, int] = {}
        self._found: dict[int, _Mark] = {}

    def expect(self, committed: Mapping[int, int | None]) -> None:
        """Take over partitions of `events`: what is committed of them has its rows in the store."""
        self._must = {
            partition: max((offset or 0) - 1, self._must.get(partition, -1))
            for partition, offset in committed.items()
        }

    def mark(self, run: Run) -> UserFeatures:
        """The witness of a run's partition, to be written with the run's rows.

        A run that comes again, after a rebalance, takes nothing back of how far the rows go.
        """
        found = self._found.get(run.partition, _NOTHING)
        offset = max(run.last_offset, found.offset) if found.whole else run.last_offset
        return found.next(offset, whole=True).row(run.partition)

    def wrote(self, run: Run) -> None:
        """The rows of a run are in the store, with its witness."""
        self._must[run.partition] = max(run.last_offset, self._must.get(run.partition, -1))

    async def check(self, partitions: Collection[int] | None = None) -> int:
        """Fill in what the store has lost, of some partitions or of all; returns how many rows.

        Raises
        ------
        Unavailable
            If the store does not answer, or loses rows while they are filled in.
        """
        must = self._must if partitions is None else {p: self._must.get(p, -1) for p in partitions}
        found = await self._read(must)
        lost = {p: offset for p, offset in must.items() if not found[p].covers(offset)}
        return await self._fill(lost) if lost else 0

    async def follow(
        self, lock: asyncio.Lock, ready: Callable[[], bool], stopping: asyncio.Event
    ) -> None:
        """Check now and then until told to stop; a store that is away is looked at again."""
        while not stopping.is_set():
            try:
                if ready():
                    async with lock:
                        await self.check()
            except Unavailable as error:
                log.warning("whether the online store is whole is not known now: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await stopping.wait()

    async def _fill(self, lost: Mapping[int, int]) -> int:
        log.warning("the online store has lost rows of partitions %s: filling in", sorted(lost))
        # 1. A crash from here on leaves partitions that are not whole.
        filling = {p: self._found[p].next(offset, whole=False) for p, offset in lost.items()}
        await self._write([mark.row(p) for p, mark in filling.items()])
        # 2. All rows, whether they were lost or not: newer ones than ours stay.
        count = 0
        rows = self._rows(lost)
        while some := list(islice(rows, ROWS_AT_ONCE)):
            await self._write(some)
            count += len(some)
        # 3. Nothing was lost meanwhile.
        if await self._read(lost) != filling:
            msg = "the online store lost rows while they were filled in"
            raise Unavailable(msg)
        whole = {p: mark.next(mark.offset, whole=True) for p, mark in filling.items()}
        await self._write([mark.row(p) for p, mark in whole.items()])
        self._found |= whole
        ONLINE_STORE_ROWS.labels("refill").inc(count)
        log.warning("the online store has %d rows again", count)
        return count

    def _rows(self, partitions: Collection[int]) -> Iterator[UserFeatures]:
        for key, value in self._states():
            if b"\0" in key:  # a row of the table's own, as a user id is none
                continue
            profile = decode(value)
            if profile.partition in partitions:
                yield features(key.decode(), profile)

    async def _read(self, partitions: Iterable[int]) -> dict[int, _Mark]:
        wanted = list(partitions)
        names = [_NAME.format(partition) for partition in wanted]
        rows = await asyncio.to_thread(self._store.read, names)
        found = dict(zip(wanted, map(_of_row, rows), strict=True))
        self._found |= found
        return found

    async def _write(self, rows: Sequence[UserFeatures]) -> None:
        await asyncio.to_thread(self._store.write, rows)
