"""A table on a worker's disk, and its changelog on the broker.

As RocksDB under Faust: a write is on the disk at once, and survives a kill; it is on the changelog
after a flush; and the disk remembers up to which change of the changelog it has all. So after a
kill the disk may be ahead of the changelog, and after a rebalance the changelog ahead of the disk.
"""

from __future__ import annotations

from collections.abc import Iterable

from stream.outgoing import Outgoing
from tests.simulation.broker import Broker
from tests.simulation.loop import Point


class Disk:
    """What a worker's folder holds of one partition; it survives the worker."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.offset = 0


class Table:
    """The table in a process; passes for `features.agent.Table`."""

    def __init__(self, broker: Broker, changelog: str, disks: dict[int, Disk]) -> None:
        self._broker = broker
        self._changelog = changelog
        self._disks = disks
        self._active: list[int] = []
        self._changes: list[Outgoing] = []
        self._flushing = False

    def get(self, key: bytes, /) -> bytes | None:
        """The value of a key, `None` if it has none."""
        disk = self._disks.get(self._partition(key))
        return disk.values.get(key) if disk else None

    def __setitem__(self, key: bytes, value: bytes, /) -> None:
        """Write a value to the disk; its change goes out with the next flush."""
        partition = self._partition(key)
        self._disks.setdefault(partition, Disk()).values[key] = value
        self._changes.append(Outgoing(key, value, partition=partition))

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All keys and values of the partitions that this process has."""
        return (item for disk in self._disks.values() for item in list(disk.values.items()))

    def recover(self, partitions: list[int]) -> None:
        """Bring partitions up to their changelog, and forget changes from before."""
        self._changes.clear()
        for partition in partitions:
            disk = self._disks.setdefault(partition, Disk())
            for record in self._broker.logs[self._changelog, partition][disk.offset :]:
                if record.value is None:
                    disk.values.pop(record.key or b"", None)
                else:
                    disk.values[record.key or b""] = record.value
            disk.offset = self._broker.end((self._changelog, partition))

    async def flush(self) -> None:
        """Send all changes so far; those that fail are kept for the next flush."""
        while self._flushing:
            await Point("wait for a flush")
        self._flushing = True
        try:
            changes = list(self._changes)
            if not changes:
                return
            await Point("flush", may_fail="broker")
            ends: dict[int, int] = {}
            for change in changes:
                ends[change.partition or 0] = self._broker.append(self._changelog, change)
            await Point("flushed", may_fail="broker")
            for partition, end in ends.items():
                disk = self._disks[partition]
                disk.offset = max(disk.offset, end + 1)
            del self._changes[: len(changes)]
        finally:
            self._flushing = False

    def _partition(self, key: bytes) -> int:
        return self._broker.partition_of(Outgoing(key, None))
