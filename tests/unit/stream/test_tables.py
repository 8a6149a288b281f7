"""A disk that fails is no record's fault: the process stops, and nothing becomes a dead letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream.app import StreamConfig, bytes_table, make_app
from stream.connect import KafkaConfig
from stream.errors import Halt

FULL = "IO error: No space left on device: While appending to file: 000122.log"


class FullDisk:
    """A store as RocksDB's bindings make it, on a disk without room."""

    def _fails(self, *_: Any, **__: Any) -> Any:
        raise Exception(FULL)

    __setitem__ = __delitem__ = __getitem__ = get = apply_changelog_batch = _fails

    def partition_path(self, partition: int) -> str:
        return f"/state/profiles-{partition}.db"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    app = make_app("profile", KafkaConfig(), StreamConfig(), tmp_path)
    table = bytes_table(app, "profiles", 1)
    table._data = FullDisk()
    monkeypatch.setattr(type(table), "on_key_set", lambda *_: None)
    monkeypatch.setattr(type(table), "on_key_del", lambda *_: None)
    return table


def test_reads_and_writes_stop_the_process(table: Any) -> None:
    with pytest.raises(Halt, match=r"/state can't be used \(IO error: No space left.*make room"):
        table[b"ada"] = b"state"
    with pytest.raises(Halt, match="No space left"):
        del table[b"ada"]
    with pytest.raises(Halt, match="No space left"):
        table.get(b"ada")
    with pytest.raises(Halt, match="No space left"):
        table.apply_changelog_batch([])
