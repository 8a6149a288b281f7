"""Tables whose recovery keeps the newest value of a key, not the last that was written.

The two differ where a process that was stopped for longer than its session wakes and writes what it
had in hand: `stream.changes` notices that, but only after the record is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import faust
from faust.streams import current_event
from faust.types import EventT

from stream.errors import Halt

Older = Callable[[bytes, bytes], bool]
"""Whether the first value was made before the second, of the same key."""


class NewestTable(faust.Table):
    """Faust's table; `older`, where it is set, decides what a recovery leaves out.

    Where the disk fails, it raises `Halt`: that is no record's fault.
    """

    older: Older | None = None

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, `default` if it has none."""
        event = current_event()
        with self._disk():
            if event is None:
                return super().get(key, default)
            # The run's partition has the key: Faust asks for the key first, then for its value.
            found = self._stored(event.message.partition, key)
        return default if found is None else found

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._disk():
            super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        with self._disk():
            super().__delitem__(key)

    async def on_rebalance(self, *arguments: Any, **named: Any) -> None:
        """Open what is on the disk, for the partitions that are ours now."""
        with self._disk():
            await super().on_rebalance(*arguments, **named)

    def apply_changelog_batch(self, batch: Iterable[EventT]) -> None:
        """Apply changes in their order, but for those that are older than what is there."""
        with self._disk():
            if self.older is not None:
                batch = list(newest(batch, self._stored, self.older))
            super().apply_changelog_batch(batch)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if type(error) is not Exception:  # RocksDB's bindings know no other.
                raise
            store: Any = self.data
            folder = Path(store.partition_path(0)).parent
            message = (
                f"the state in {folder} can't be used ({error}): if its disk is full, make room; "
                "if another process has it, stop that one; if it is damaged, delete the folder, "
                f"and it is made anew from the topic {self.changelog_topic.get_topic_name()}"
            )
            raise Halt(message) from error

    def _stored(self, partition: int, key: bytes) -> bytes | None:
        store: Any = self.data
        found: bytes | None = store._db_for_partition(partition).get(key)  # noqa: SLF001
        return found


def newest(
    batch: Iterable[Any], stored: Callable[[int, bytes], bytes | None], older: Older
) -> Iterator[Any]:
    """Changes without those that are older than the key's value at that time.

    >>> from types import SimpleNamespace as Thing
    >>> values = (b"2", b"1", None, b"1", b"3")
    >>> batch = [Thing(message=Thing(partition=0, key=b"k", value=value)) for value in values]
    >>> left = newest(batch, lambda partition, key: b"0", lambda new, old: new < old)
    >>> [change.message.value for change in left]
    [b'2', None, b'1', b'3']
    """
    seen: dict[bytes, bytes | None] = {}
    for change in batch:
        message = change.message
        key, value = message.key, message.value
        have = seen[key] if key in seen else stored(message.partition, key)
        if value is not None and have is not None and older(value, have):
            continue
        seen[key] = value
        yield change
