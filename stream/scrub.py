"""Erasing what a table's local files still hold of keys that were deleted.

RocksDB only marks a key as deleted. Its bytes stay in older files, in the write-ahead log, and, for
the first and last key of a file, in the manifest. To be rid of them:

1. the newest writes go to a file, which makes the old log superfluous;
2. all files are written anew, without the deleted keys;
3. the database is closed and opened again, which writes a new manifest.

Nothing here touches what the table holds, so a crash between two steps costs nothing but the step.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from typing import Any

import rocksdict

from stream.app import StreamApp


async def scrub(table: Any, partition: int) -> None:
    """Erase deleted keys from the files of one of a table's partitions that is open here."""
    store = table.data
    databases = store._dbs  # noqa: SLF001 - Faust has no other way to them
    database = databases.get(partition)
    if database is None:
        return
    # 1. and 2. in a worker thread: merging takes seconds for a gigabyte.
    await asyncio.to_thread(_merge, database)
    # 3. Here, so that nobody finds it closed; unless it moved to another worker meanwhile.
    if databases.get(partition) is database:
        del databases[partition]
        database.close()
        store._db_for_partition(partition)  # noqa: SLF001


async def scrub_copies(app: StreamApp, table: Any, keys: Sequence[bytes]) -> None:
    """Erase keys from the partitions that this worker has files of, but doesn't own.

    What it keeps up to date for another worker is erased; what is merely left over is removed, and
    is rebuilt from the changelog if the partition comes back.
    """
    store = table.data
    databases = store._dbs  # noqa: SLF001
    topic = table.changelog_topic_name
    own = {tp.partition for tp in app.assignor.assigned_actives() if tp.topic == topic}
    for partition in range(app.kafka.partitions):
        if partition in own or not app.ready:
            continue
        database = databases.get(partition)
        if database is None:
            shutil.rmtree(store.partition_path(partition), ignore_errors=True)
            continue
        for key in keys:
            database.delete(key)
        await scrub(table, partition)


def _merge(database: Any) -> None:
    # Forced: a file that has no other to merge with is moved as it is, deleted keys and all.
    forced = rocksdict.CompactOptions()
    forced.set_bottommost_level_compaction(rocksdict.BottommostLevelCompaction.force())
    database.flush()
    database.compact_range(None, None, forced)
