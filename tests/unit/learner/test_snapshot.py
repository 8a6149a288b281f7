"""Snapshots on disk: whole or not there, the newest good one loads, a damaged one is named."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import numpy as np
import pytest

from learner.online import OnlineLearner
from learner.snapshot import (
    FORMAT,
    Saved,
    Snapshots,
    load_version,
    publish_version,
    read_snapshot,
)
from learner.state import load_learner, save_learner
from stream.errors import BadRecord, Halt
from stream.events import AdapterVersion
from tests.unit.learner.toy import CONFIG, catalogue, habits, shelf


def saved(number: int) -> Saved:
    meta = {"offsets": {"0": number}, "learnt": number}
    return Saved({"x": np.full(100, number, np.float32)}, meta)


@pytest.fixture
def three(tmp_path: Path) -> Snapshots:
    snapshots = Snapshots(tmp_path / "snapshots", keep=3)
    for number in (1, 2, 3):
        snapshots.write(number, saved(number))
    return snapshots


def newest_number(snapshots: Snapshots) -> int | None:
    found = snapshots.newest()
    return None if found is None else int(found.arrays["x"][0])


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_only_the_newest_stay(three: Snapshots) -> None:
    three.write(4, saved(4))
    assert three.numbers() == [2, 3, 4]


@pytest.mark.parametrize("file", ["model.safetensors", "manifest.json"])
def test_a_damaged_snapshot_is_named_in_the_log_and_passed_over(
    three: Snapshots, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    damage(three.path(3) / file)
    with caplog.at_level(logging.WARNING):
        assert newest_number(three) == 2
    assert str(three.path(3)) in caplog.text


@pytest.mark.parametrize("file", ["model.safetensors", "manifest.json"])
def test_a_snapshot_with_a_file_missing_is_passed_over(three: Snapshots, file: str) -> None:
    (three.path(3) / file).unlink()
    assert newest_number(three) == 2


def test_a_crash_before_the_rename_leaves_the_old_state(three: Snapshots) -> None:
    half = three.folder / ".writing-4-99999"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half of it")
    assert newest_number(three) == 3
    three.write(4, saved(4))
    assert not half.exists()
    assert newest_number(three) == 4


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert Snapshots(tmp_path / "none", keep=3).newest() is None


def test_a_snapshot_of_another_format_is_refused(three: Snapshots) -> None:
    manifest = three.path(3) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"format":4', b'"format":99'))
    with pytest.raises(BadRecord, match="format"):
        read_snapshot(three.path(3))


def published(tmp_path: Path, number: int) -> AdapterVersion:
    return publish_version(
        Snapshots(tmp_path / "versions", keep=3),
        number,
        saved(number),
        model="behaviour",
        parent=None,
        created_ms=5,
        figures={"ndcg10": 0.25},
    )


def test_a_snapshot_of_a_newer_release_stops_the_process(
    three: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("learner.snapshot.FORMAT", FORMAT + 1)
        three.write(4, saved(4))
    with pytest.raises(Halt, match=rf"has format {FORMAT + 1}, this program knows {FORMAT}: start"):
        three.newest()


def test_a_format_that_was_only_damaged_stops_nobody(
    three: Snapshots, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = three.path(3) / "manifest.json"
    flipped = manifest.read_bytes().replace(b'"format":4', b'"format":5')
    manifest.write_bytes(flipped)
    assert newest_number(three) == 2
    assert f"{three.path(3)} is passed over: `format` must be 4" in caplog.text


def test_a_version_is_read_as_it_was_published(tmp_path: Path) -> None:
    version = published(tmp_path, 7)
    assert (version.version, version.offsets, version.learnt, version.ndcg10) == (
        7,
        {"0": 7},
        7,
        0.25,
    )
    assert load_version(version).arrays["x"][0] == 7


def test_a_version_that_is_not_what_was_announced_is_refused(tmp_path: Path) -> None:
    first, second = published(tmp_path, 1), published(tmp_path, 2)
    with pytest.raises(BadRecord, match="as announced"):
        load_version(msgspec.structs.replace(first, path=second.path))
    damage(Path(first.path) / "model.safetensors")
    with pytest.raises(BadRecord, match="sha256"):
        load_version(first)


def test_a_learner_survives_the_disk_bit_by_bit(tmp_path: Path) -> None:
    items = shelf("a", 8) + shelf("b", 8)
    straight = OnlineLearner(catalogue(items), CONFIG)
    straight.learn_many(habits(48, 8))
    snapshots = Snapshots(tmp_path, keep=1)
    snapshots.write(1, save_learner(straight))
    resumed = OnlineLearner(catalogue(items), CONFIG)
    read = snapshots.newest()
    assert read is not None
    load_learner(resumed, read)
    ranks = [one.learn_many(habits(96, 8)).rank_N.tolist() for one in (straight, resumed)]
    assert ranks[0] == ranks[1]
    ends = [save_learner(one) for one in (straight, resumed)]
    assert ends[0].meta == ends[1].meta
    for name, array in ends[0].arrays.items():
        assert np.array_equal(array, ends[1].arrays[name]), name


def test_frozen_weights_are_written_only_where_they_differ() -> None:
    """A base's file is mapped: whoever writes to its weights gets a copy of them."""
    learner = OnlineLearner(catalogue(shelf("a", 8)), CONFIG)
    assert learner.ranker.behaviour is not None
    frozen = {
        name: parameter
        for name, parameter in learner.ranker.behaviour.named_parameters()
        if not parameter.requires_grad
    }
    saved = save_learner(learner)
    writes = {name: parameter._version for name, parameter in frozen.items()}
    load_learner(learner, saved)
    assert {name: parameter._version for name, parameter in frozen.items()} == writes
    name, parameter = next(iter(frozen.items()))
    saved.arrays[f"behaviour/{name}"] += 1
    load_learner(learner, saved)
    assert np.array_equal(parameter.numpy(), saved.arrays[f"behaviour/{name}"])


def test_a_pinned_snapshot_stays_however_old_it_is(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, keep=1)
    for number in (1, 2, 3):
        snapshots.write(number, saved(number), pinned=(1,))
    assert snapshots.numbers() == [1, 3]
