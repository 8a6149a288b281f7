"""No damage to a snapshot goes unnoticed: any byte, any cut, in either of its files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.snapshot import Saved, Snapshots, read_snapshot
from stream.errors import BadRecord

SAVED = Saved({"weight": np.arange(6.0), "row": np.arange(3)}, {"offsets": {"0": 1024}, "n": 7})

FILES = st.sampled_from(["model.safetensors", "manifest.json"])


def damaged(file: str, at: float, change: int | None) -> Saved | None:
    """Cut a file at a place, or change a byte there; returns what is then read."""
    with tempfile.TemporaryDirectory() as folder:
        snapshots = Snapshots(Path(folder), keep=1)
        snapshots.write(1, SAVED)
        path = snapshots.path(1) / file
        whole = path.read_bytes()
        place = int(at * (len(whole) - 1))
        if change is None:
            data = whole[:place]
        else:
            data = whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :]
        path.write_bytes(data)
        try:
            return read_snapshot(snapshots.path(1))
        except BadRecord:
            return None


@given(file=FILES, at=st.floats(0, 1), change=st.integers(1, 255))
def test_a_changed_byte_is_never_taken_for_another_state(file: str, at: float, change: int) -> None:
    read = damaged(file, at, change)
    if read is not None:  # such as a space in the place of another
        assert read.meta == SAVED.meta
        assert all(np.array_equal(read.arrays[name], SAVED.arrays[name]) for name in SAVED.arrays)


@given(file=FILES, at=st.floats(0, 1))
def test_a_file_cut_short_is_refused(file: str, at: float) -> None:
    assert damaged(file, at, None) is None


def test_a_changed_offset_is_refused(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, keep=1)
    snapshots.write(1, SAVED)
    manifest = snapshots.path(1) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"1024", b"1025"))
    with pytest.raises(BadRecord, match="sha256"):
        read_snapshot(snapshots.path(1))


def test_writing_again_removes_what_a_crash_left(tmp_path: Path) -> None:
    left = tmp_path / ".writing-1-999"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    snapshots = Snapshots(tmp_path, keep=2)
    assert snapshots.newest() is None
    snapshots.write(1, SAVED)
    assert not left.exists()
    assert snapshots.numbers() == [1]
