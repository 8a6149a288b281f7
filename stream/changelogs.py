"""What a start does with a changelog that doesn't hold all that its table held.

A table is kept twice: on this disk, and in its changelog topic. Either may be lost; what is left of
the two decides. Per partition, with the disk's state up to change `have`, and a changelog that goes
from `first` up to, not including, `end`:

| disk | changelog | what happens |
|---|---|---|
| any | whole | what the disk lacks is read |
| none | its beginning is gone | stop: users would begin anew |
| has all that is gone | its beginning is gone, or all of it | it is written anew from the disk |
| lacks some of it | its beginning is gone | stop: users would go on with old states |
| ahead of it | it holds other changes | stop: which of the two is right? |

Kafka never moves the first offset of a compacted topic by itself: that it isn't 0 says that records
were deleted. A changelog that was written anew ends with a row that says so; this row is part of
the table from then on, under a key that no user has.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from faust.tables.recovery import Recovery
from faust.types import TP, ConsumerMessage

from stream.errors import Halt
from stream.outgoing import Outgoing

WHOLE = b"__tidemill\0whole__"
"""The row that ends a changelog that was written anew: from which first offset on it is whole."""

_MENDING = b"__tidemill\0mending__"
"""On the disk only, while a changelog is written anew: a crash meanwhile begins it again."""

_OFFSET = b"__faust\0offset__"

_ROWS = 500
"""Written at once: a few batches of the producer, a small part of a second."""

log = logging.getLogger(__name__)

Finding = Literal["read", "gone", "gap", "foreign"]


def find(have: int | None, first: int, end: int) -> Finding:
    """Say what a changelog is to a disk; "gone" is known for sure only when it was read.

    >>> find(have=41, first=0, end=100), find(have=None, first=0, end=100)
    ('read', 'read')
    >>> find(have=99, first=100, end=100), find(have=99, first=0, end=0)
    ('gone', 'gone')
    >>> find(have=41, first=100, end=200), find(have=99, first=0, end=50)
    ('gap', 'foreign')
    """
    if have is not None and have >= 0:
        if have >= end:
            return "gone" if end == 0 else "foreign"
        if have + 1 < first:
            return "gap"
    return "gone" if first > 0 else "read"


class _Change(NamedTuple):
    """What a table looks at of Faust's event."""

    message: ConsumerMessage


class CheckedRecovery(Recovery):
    """Faust's recovery, which looks first what is left of the table, and stops or mends.

    Attributes
    ----------
    written
        Rows written anew so far, for whoever watches that a start makes progress.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.written = 0
        self._gone: dict[TP, tuple[int, bool]] = {}
        super().__init__(*args, **kwargs)

    def take(self, tp: TP, messages: Sequence[ConsumerMessage]) -> None:
        """Apply what one fetch brought, to a table that recovers or stands by; else drop it.

        Nothing waits: Faust queues changes one by one and applies them later, from a buffer. A
        change that stood in its queue when a standby took over was applied after those that
        follow it, whose offset was on the disk by then; a kill in between lost it for good.
        """
        if tp in self.active_tps:
            # Ours, and recovered: agents write to it now, and an older value must not come after.
            if self.in_recovery:
                self._apply(tp, messages, self.active_offsets)
                if not self.need_recovery():
                    self._set_recovery_ended()
                    self.signal_recovery_end.set()
        elif tp in self.standby_tps:
            self._apply(tp, messages, self.standby_offsets)
            if not self.tables.standbys_ready and not self.standby_remaining_total():
                self.tables.on_standbys_ready()

    def _apply(self, tp: TP, messages: Sequence[ConsumerMessage], offsets: Counter[TP]) -> None:
        have = offsets[tp]
        new = [_Change(m) for m in messages if have is None or m.offset > have]
        if new:
            self.tp_to_table[tp].apply_changelog_batch(new)
            offsets[tp] = new[-1].message.offset

    async def _build_offsets(
        self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str
    ) -> None:
        if title == "active":
            await self._look(consumer, tps, destination)
        await super()._build_offsets(consumer, tps, destination, title)

    async def _look(self, consumer: Any, tps: set[TP], offsets: Counter[TP]) -> None:
        earliest: Mapping[TP, int | None] = await consumer.earliest_offsets(*tps)
        self._gone = {}
        consumer.newest_change.clear()  # Changes are read again, from where the tables are.
        for tp in tps:
            have, first, end = offsets[tp], earliest.get(tp) or 0, self.active_highwaters[tp] + 1
            database = self._database(tp)
            if database.get(_MENDING) is not None:
                self._gone[tp] = (first, True)
                continue
            finding = find(have, first, end)
            if finding in ("gap", "foreign"):
                raise Halt(self._refusal(finding, tp, have, first, end))
            if finding == "gone":
                self._gone[tp] = (first, have is not None)
                if end == 0:
                    offsets[tp] = -1  # Faust would take it for an error.

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Mend what was found, or stop; then let the agents begin."""
        for tp, (first, on_disk) in self._gone.items():
            database = self._database(tp)
            whole = database.get(WHOLE)
            if database.get(_MENDING) is None and whole is not None and int(whole) >= first > 0:
                continue
            if not on_disk:
                raise Halt(self._refusal("gone", tp, None, first, first))
            await self._write_anew(tp, first, database)
        self._gone = {}
        await super().on_recovery_completed(generation_id)

    async def _write_anew(self, tp: TP, first: int, database: Any) -> None:
        """Write all rows of the disk to the changelog.

        1. A mark on the disk, and the disk's offset set to what the changelog has: a crash from
           here to 3 begins again.
        2. All rows, then the row that says that they are all.
        3. The disk's offset set to that row's, and the mark taken away.
        """
        log.warning(
            "%s[%d] has lost its beginning: it is written anew from the state on this disk",
            tp.topic,
            tp.partition,
        )
        store, end = self.tp_to_table[tp].data, self.active_highwaters[tp]
        database[_MENDING] = b"1"
        store.set_persisted_offset(tp, end)
        producer = await self.app.maybe_start_producer()
        offset, before = end, self.written
        left = _rows(database)
        while rows := list(islice(left, _ROWS)):
            offset = await producer.rewrite(tp, rows)
            self.written += len(rows)
        offset = await producer.rewrite(tp, [Outgoing(WHOLE, b"%d" % first)])
        database[WHOLE] = b"%d" % first
        store.set_persisted_offset(tp, offset)
        self.active_offsets[tp] = offset
        del database[_MENDING]
        log.warning("%s[%d]: %d rows written", tp.topic, tp.partition, self.written - before)

    def _database(self, tp: TP) -> Any:
        return self.tp_to_table[tp].data._db_for_partition(tp.partition)  # noqa: SLF001

    def _refusal(self, finding: Finding, tp: TP, have: int | None, first: int, end: int) -> str:
        folder = Path(self.tp_to_table[tp].data.partition_path(tp.partition))
        place = f"the changelog {tp.topic}[{tp.partition}]"
        rebuild = (
            f"to rebuild the state from the events that are still kept, delete {folder.parent} "
            f"and the topic {tp.topic}, and set the offsets of the group {self.app.conf.id} back "
            "to the earliest"
        )
        if finding == "gap":
            return (
                f"{place} begins at {first}, and the state in {folder} ends at {have}: the changes "
                f"between are gone; restore a newer copy of that folder, or, {rebuild}"
            )
        if finding == "foreign":
            return (
                f"{place} ends at {end}, and the state in {folder} at {have}: this is not the "
                "topic that the state was written to, or its end was lost; delete the folder to "
                "take what the topic has, or delete the topic to take what the folder has"
            )
        return (
            f"{place} has lost what was before {first}, and there is no state in {folder}: users "
            f"would begin anew; restore a copy of that folder, or, {rebuild}"
        )


def _rows(database: Any) -> Iterator[Outgoing]:
    for key, value in database.items():
        if key not in (_OFFSET, _MENDING, WHOLE):
            yield Outgoing(key, value)
