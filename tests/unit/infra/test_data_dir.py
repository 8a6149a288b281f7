"""The data folder: one stack at a time, and nothing of others is removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.data_dir import OURS, DataDir
from stream.errors import Halt


def test_starting_anew_removes_ours_and_nothing_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = tmp_path / "data"
    for name in OURS[1:]:
        (folder / name / "deep").mkdir(parents=True)
    (folder / OURS[0]).symlink_to(outside)
    (folder / "notes.txt").write_text("mine")
    data = DataDir(folder)
    data.clear()
    data.close()
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "notes.txt"]
    assert (outside / "kept").exists()


def test_a_second_stack_is_told_who_has_the_folder(tmp_path: Path) -> None:
    first = DataDir(tmp_path)
    with pytest.raises(Halt, match=rf"process {os.getpid()}.*--data-dir"):
        DataDir(tmp_path)
    first.close()
    DataDir(tmp_path).close()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Halt, match="can't use the data folder"):
        DataDir(tmp_path / "file")
