"""Checkpoints and published versions on disk: whole, checked by hash, or not there at all.

A snapshot is a folder with two files: `model.safetensors`, all arrays, and `manifest.json`,
everything that is not an array and the hash of both. Writing, in this order:

1. both files into a folder with a temporary name, each flushed to the disk (a crash here leaves a
   temporary folder, which the next write removes);
2. the folder gets its name in one rename, and the parent folder is flushed (a crash here leaves
   either the old state or the new one);
3. the oldest snapshots beyond `keep` are removed, but for those that are pinned.

Arrays are keyed by name, items by id: row numbers mean nothing outside a process.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from stream.errors import BadRecord, Halt
from stream.events import AdapterVersion

FORMAT = 4
_ARRAYS = "model.safetensors"
_MANIFEST = "manifest.json"
_FORMAT_AGAIN = "snapshot_format"
"""In `meta`, and so under the hash: one flipped bit must not pass for a newer release's format."""

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]


class Saved(NamedTuple):
    """What a snapshot holds: arrays, and everything else."""

    arrays: Arrays
    meta: dict[str, Any]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The second file of a snapshot."""

    format: int
    sha256: str
    """Of the bytes of `meta`, then those of the arrays: offsets are as precious as weights."""
    meta: msgspec.Raw


class Snapshots:
    """Numbered snapshots in one folder, of which the newest few are kept.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     snapshots = Snapshots(Path(folder), keep=2)
    ...     for number in (1, 2, 3):
    ...         _ = snapshots.write(number, Saved({"x": np.array([number])}, {"n": number}))
    ...     newest = snapshots.newest()
    ...     snapshots.numbers(), newest.arrays["x"].tolist()
    ([2, 3], [3])
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def numbers(self) -> list[int]:
        """The numbers of the snapshots that are there, rising."""
        names = (path.name for path in self.folder.glob("[0-9]*") if path.is_dir())
        return sorted(int(name) for name in names if name.isdigit())

    def path(self, number: int) -> Path:
        """The folder of a snapshot."""
        return self.folder / f"{number:012d}"

    def write(self, number: int, saved: Saved, pinned: Container[int] = ()) -> str:
        """Write a snapshot; returns its hash. Pinned ones are not removed, however old."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".writing-*"):
            shutil.rmtree(left, ignore_errors=True)

        # 1. Under a temporary name.
        data = save_arrays({k: np.ascontiguousarray(v) for k, v in saved.arrays.items()})
        meta = msgspec.json.encode({**saved.meta, _FORMAT_AGAIN: FORMAT})
        digest = _digest(meta, data)
        manifest = Manifest(format=FORMAT, sha256=digest, meta=msgspec.Raw(meta))
        aside = self.folder / f".writing-{number}-{os.getpid()}"
        aside.mkdir()
        _write_flushed(aside / _ARRAYS, data)
        _write_flushed(aside / _MANIFEST, msgspec.json.encode(manifest))
        _flush_folder(aside)

        # 2. Under its own.
        final = self.path(number)
        if final.exists():
            shutil.rmtree(final)
        aside.rename(final)
        _flush_folder(self.folder)

        # 3. Only the newest stay.
        for old in self.numbers()[: -self.keep]:
            if old not in pinned:
                shutil.rmtree(self.path(old), ignore_errors=True)
        return digest

    def newest(self) -> Saved | None:
        """The newest snapshot that is whole; a damaged one is named in the log and passed over.

        Raises
        ------
        Halt
            If a newer release wrote it: to go on from an older one would lose what that one learnt.
        """
        for number in reversed(self.numbers()):
            self._refuse_newer(number)
            try:
                return read_snapshot(self.path(number))
            except BadRecord as error:
                log.warning("snapshot %s is passed over: %s", self.path(number), error)
        return None

    def _refuse_newer(self, number: int) -> None:
        try:
            manifest = _manifest(self.path(number))
            known = manifest.format
            meant = msgspec.json.decode(manifest.meta).get(_FORMAT_AGAIN, known)
        except (OSError, ValueError, AttributeError, msgspec.MsgspecError):
            return  # damaged, which reading it will say
        if known > FORMAT and meant == known:
            msg = (
                f"the snapshot {self.path(number)} has format {known}, this program knows "
                f"{FORMAT}: start the newer program again, or move {self.folder} away to begin anew"
            )
            raise Halt(msg)


def read_snapshot(folder: Path, sha256: str | None = None) -> Saved:
    """Read a snapshot and check it against its own hash, and against another one if given.

    Raises
    ------
    BadRecord
        If a file is missing, damaged, of another format, or not the one that was announced.
    """
    try:
        manifest = _manifest(folder)
        data = (folder / _ARRAYS).read_bytes()
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise BadRecord(
            field="snapshot",
            value=str(error),
            wanted=f"readable files in {folder}",
            reason="failed",
        ) from error
    if manifest.format != FORMAT:
        raise BadRecord(
            field="format",
            value=manifest.format,
            wanted=f"{FORMAT}, this version's",
            reason="failed",
        )
    digest = _digest(manifest.meta, data)
    if digest != manifest.sha256:
        wanted = f"{manifest.sha256}, as its manifest says"
        raise BadRecord(field="sha256", value=digest, wanted=wanted, reason="failed")
    if sha256 is not None and digest != sha256:
        raise BadRecord(
            field="sha256", value=digest, wanted=f"{sha256}, as announced", reason="failed"
        )
    try:
        meta = msgspec.json.decode(manifest.meta)
        meta.pop(_FORMAT_AGAIN, None)
        return Saved(load_arrays(data), meta)
    except Exception as error:  # safetensors raises its own, which has no common base
        raise BadRecord(
            field="arrays", value=str(error), wanted="a safetensors file", reason="failed"
        ) from error


def publish_version(
    snapshots: Snapshots,
    version: int,
    saved: Saved,
    *,
    model: str,
    parent: int | None,
    created_ms: int,
    figures: Mapping[str, float | None],
    pinned: Container[int] = (),
) -> AdapterVersion:
    """Write a version for serving, and say what to announce of it."""
    said = {"model": model, "parent": parent, "created_ms": created_ms, "figures": dict(figures)}
    saved = Saved(saved.arrays, {**saved.meta, "announced": said})
    digest = snapshots.write(version, saved, pinned)
    return _announcement(snapshots, version, saved, digest)


def published_version(snapshots: Snapshots, version: int) -> tuple[AdapterVersion, Saved]:
    """Read a version back that `publish_version` wrote, with what was announced of it.

    Raises
    ------
    BadRecord
        If it is no longer there, or damaged.
    """
    saved = read_snapshot(snapshots.path(version))
    digest = _manifest(snapshots.path(version)).sha256
    return _announcement(snapshots, version, saved, digest), saved


def _announcement(snapshots: Snapshots, version: int, saved: Saved, digest: str) -> AdapterVersion:
    said = saved.meta["announced"]
    return AdapterVersion(
        model=said["model"],
        version=version,
        path=str(snapshots.path(version).resolve()),
        sha256=digest,
        parent=said["parent"],
        offsets=saved.meta["offsets"],
        learnt=saved.meta["learnt"],
        created_ms=said["created_ms"],
        loss=said["figures"].get("loss"),
        ndcg10=said["figures"].get("ndcg10"),
        ndcg10_popularity=said["figures"].get("ndcg10_popularity"),
    )


def load_version(version: AdapterVersion) -> Saved:
    """Read a published version.

    Raises
    ------
    BadRecord
        If its files are not what was announced: keep the live version then.
    """
    return read_snapshot(Path(version.path), version.sha256)


def _manifest(folder: Path) -> Manifest:
    return msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)


def _digest(meta: msgspec.Raw | bytes, arrays: bytes) -> str:
    digest = hashlib.sha256(meta)
    digest.update(arrays)
    return digest.hexdigest()


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that is there whole, as it was or as it is to be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    _write_flushed(aside, data)
    aside.replace(path)
    _flush_folder(path.parent)


def _write_flushed(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
