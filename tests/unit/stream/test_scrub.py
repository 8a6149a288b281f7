"""What a table's local files hold of a key that was deleted: nothing, once they are scrubbed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from faust.stores.rocksdb import RocksDBOptions

from stream.app import STORE_OPTIONS
from stream.scrub import scrub

IDS = [f"{Random(n).getrandbits(128):032x}".encode() for n in range(200)]
LEAVING = [min(IDS), max(IDS), *IDS[50:60]]
"""The first and the last key of a file stand in the manifest as well."""


class Store:
    """The part of Faust's store that holds the databases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dbs: dict[int, Any] = {}

    def _db_for_partition(self, partition: int) -> Any:
        if partition not in self._dbs:
            self._dbs[partition] = RocksDBOptions(**STORE_OPTIONS).open(self._folder)
        return self._dbs[partition]


def found(folder: Path, ids: list[bytes]) -> int:
    """How many are somewhere; a file leaves out of a key what it shares with the one before."""
    data = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return sum(key[8:] in data for key in ids)


@pytest.mark.parametrize("flushed", [True, False])
def test_deleted_keys_are_in_no_file(tmp_path: Path, flushed: bool) -> None:
    store = Store(tmp_path / "p.db")
    database = store._db_for_partition(0)  # noqa: SLF001
    for key in IDS:
        database.put(key, b"of " + key)
    if flushed:
        database.flush()  # else deletions lie in one file alone, which would be moved as it is
    assert found(tmp_path, LEAVING) > 0
    for key in LEAVING:
        database.delete(key)
    del database
    asyncio.run(scrub(SimpleNamespace(data=store), 0))
    assert found(tmp_path, LEAVING) == 0
    # Blocks are compressed, so what the files themselves count has to agree.
    opened = store._db_for_partition(0)  # noqa: SLF001
    staying = [key for key in IDS if key not in LEAVING]
    files = opened.live_files()
    assert sum(file["num_deletions"] for file in files) == 0
    assert sum(file["num_entries"] for file in files) == len(staying)
    assert all(opened.get(key) == b"of " + key for key in staying)
    assert opened.get(LEAVING[0]) is None
