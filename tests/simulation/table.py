"""A table on a worker's disk, and its changelog on the broker.

As RocksDB under Faust, with `stream.changes` and `stream.tables`: a write is on the disk at once,
and survives a kill; it is on the changelog after a flush; and the disk remembers up to which change
of the changelog it has all. So after a kill the disk may be ahead of the changelog, and after a
rebalance the changelog ahead of the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from features.profile_state import is_older
from stream.errors import Unavailable
from stream.outgoing import Outgoing
from tests.simulation.broker import Broker
from tests.simulation.loop import Point

OUT = Unavailable("the group has gone on without this process")


class Disk:
    """What a worker's folder holds of one partition; it survives the worker."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.offset = 0


class Table:
    """The table in a process; passes for `features.agent.Table`.

    Parameters
    ----------
    disks
        The worker's folder, by partition.
    in_group
        Whether the group counts this process in.
    """

    def __init__(
        self, broker: Broker, changelog: str, disks: dict[int, Disk], in_group: Callable[[], bool]
    ) -> None:
        self._broker = broker
        self._changelog = changelog
        self._disks = disks
        self._in_group = in_group
        self._active: list[int] = []
        self._changes: list[Outgoing] = []
        self._next: dict[int, int] = {}
        self._flushing = False
        self._out = False

    def get(self, key: bytes, /) -> bytes | None:
        """The value of a key, `None` if it has none."""
        disk = self._disks.get(self._partition(key))
        return disk.values.get(key) if disk else None

    def __setitem__(self, key: bytes, value: bytes, /) -> None:
        """Write a value to the disk; its change goes out with the next flush."""
        partition = self._partition(key)
        self._disks.setdefault(partition, Disk()).values[key] = value
        self._changes.append(Outgoing(key, value, partition=partition))

    def __delitem__(self, key: bytes, /) -> None:
        """Delete a key; the change goes out with the next flush."""
        partition = self._partition(key)
        self._disks.setdefault(partition, Disk()).values.pop(key, None)
        self._changes.append(Outgoing(key, None, partition=partition))

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All keys and values of the partitions that this process has."""
        return [
            pair for partition in self._active for pair in self._disks[partition].values.items()
        ]

    def recover(self, partitions: list[int]) -> None:
        """After a rebalance: forget changes that are not out, read the changelog on."""
        self.claim()
        self._active = list(partitions)
        for partition in partitions:
            disk = self._disks.setdefault(partition, Disk())
            for record in self._broker.logs[self._changelog, partition][disk.offset :]:
                self.apply(disk.values, record.key or b"", record.value)
            disk.offset = self._next[partition] = self._broker.end((self._changelog, partition))

    def claim(self) -> None:
        """Their runs come again."""
        self._changes.clear()
        self._next.clear()
        self._out = False

    def apply(self, values: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
        """Take a change from the changelog, unless a newer one is there."""
        have = values.get(key)
        if value is None:
            values.pop(key, None)
        elif have is None or not is_older(value, have):
            values[key] = value

    async def flush(self) -> None:
        """Send all changes so far; those that fail are kept for the next flush."""
        while self._flushing:
            await Point("wait for a flush")
        self._flushing = True
        try:
            await self._flush()
        finally:
            self._flushing = False

    async def _flush(self) -> None:
        if self._out:
            raise OUT
        changes = list(self._changes)
        if not changes:
            return
        await Point("ask the group", may_fail="broker")
        self.ask_group()
        await Point("flush", may_fail="broker")
        acked: dict[int, list[int]] = {}
        for change in changes:
            offset = self._broker.append(self._changelog, change)
            acked.setdefault(change.partition or 0, []).append(offset)
        await Point("flushed", may_fail="broker")
        for partition, offsets in acked.items():
            if offsets[0] != self._next.get(partition, offsets[0]):
                await Point("ask the group", may_fail="broker")
                self.ask_group()
            self._next[partition] = offsets[-1] + 1
            disk = self._disks[partition]
            disk.offset = max(disk.offset, offsets[-1] + 1)
        sent = set(map(id, changes))
        self._changes = [change for change in self._changes if id(change) not in sent]

    def ask_group(self) -> None:
        """Stop writing, if the group has gone on without this process."""
        if not self._in_group():
            self._out = True
            self._changes.clear()
            raise OUT

    def _partition(self, key: bytes) -> int:
        return self._broker.partition_of(Outgoing(key, None))
