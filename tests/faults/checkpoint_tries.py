"""What can happen to a checkpoint, and whether the last good one loads after it.

- **killed**: a process is killed during a save, at a drawn moment: before or after a call to the
  operating system, amid a file, or by a clock.
- **flipped**, **truncated**: a bit of the newest checkpoint, or the rest of a file, is lost.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np

from learner import snapshot
from learner.online import OnlineLearner
from learner.snapshot import Saved, Snapshots
from learner.state import load_learner, save_learner
from tests.faults.forked import end, fork
from tests.unit.learner.toy import CONFIG, catalogue, example, shelf

KEEP = 3
LONGEST_S = 0.3
"""By the clock: a save of the small learner takes a hundredth of it."""

CALLS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir")
"""What Python reports of its calls to the operating system, as far as saves make them."""

_SOON_S = 30.0


class Bench:
    """A small learner that has learnt something, as a checkpoint."""

    def __init__(self) -> None:
        items = shelf("a", 8)
        self._learner = OnlineLearner(catalogue(items), CONFIG)
        self._learner.learn_many([example(n, items[n % 8], items[:3]) for n in range(64)])
        self.learnt = save_learner(self._learner)

    def saved(self, number: int) -> Saved:
        """The learner as the checkpoint of a number."""
        return numbered(self.learnt, number)

    def number(self, found: Saved | None) -> int:
        """The number of a checkpoint that is whole, and loads; 0 for none."""
        if found is None:
            return 0
        number = int(found.meta["number"])
        wanted = self.saved(number)
        assert found.meta == msgspec.json.decode(msgspec.json.encode(wanted.meta))
        assert found.arrays.keys() == wanted.arrays.keys()
        for name, array in wanted.arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array, name)
        load_learner(self._learner, found)
        return number


def numbered(learnt: Saved, number: int) -> Saved:
    """A checkpoint that can be told from others."""
    arrays = {**learnt.arrays, "number": np.full(1_000, number)}
    return Saved(arrays, {**learnt.meta, "number": number})


def killed(bench: Bench, seed: int, folder: Path) -> str:
    """Kill a process that saves; says what is wrong afterwards, nothing if all is right."""
    rng = Random(f"killed {seed}")
    Snapshots(folder, KEEP).write(1, bench.saved(1))
    ear, mouth = Pipe(duplex=False)
    how = ("call", "amid a file", "clock")[seed % 3]
    child = fork(
        _save_on, bench.learnt, str(folder), how, seed, mouth, log=folder.parent / "saver.log"
    )
    mouth.close()
    if how == "clock" and ear.poll(_SOON_S):
        time.sleep(rng.uniform(0, LONGEST_S))
        end(child, signal.SIGKILL)
    child.join(_SOON_S)
    if child.exitcode != -signal.SIGKILL:
        return f"the saver was not killed: {child.exitcode}"
    done = 1
    try:
        while ear.poll():
            done = max(done, ear.recv())
    except EOFError:
        pass
    snapshots = Snapshots(folder, KEEP)
    with _warnings() as said:
        found = bench.number(snapshots.newest())
    if found not in (done, done + 1):
        return f"checkpoint {done} was done, {found} is loaded"
    if said:
        return f"a checkpoint was damaged by a kill: {said}"
    snapshots.write(found + 1, bench.saved(found + 1))
    left = list(folder.glob(".writing-*"))
    return f"left behind: {left}" if left else ""


def flipped(bench: Bench, seed: int, folder: Path) -> str:
    """Flip a bit of the newest checkpoint; says what is wrong afterwards."""
    rng = Random(f"flipped {seed}")
    file = _fill(bench, folder, rng)
    data = bytearray(file.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)
    return _passed_over(bench, folder)


def truncated(bench: Bench, seed: int, folder: Path) -> str:
    """Cut a file of the newest checkpoint short; says what is wrong afterwards."""
    rng = Random(f"truncated {seed}")
    file = _fill(bench, folder, rng)
    os.truncate(file, rng.randrange(file.stat().st_size))
    return _passed_over(bench, folder)


def _fill(bench: Bench, folder: Path, rng: Random) -> Path:
    snapshots = Snapshots(folder, KEEP)
    for number in (1, 2, 3):
        snapshots.write(number, bench.saved(number))
    return snapshots.path(3) / rng.choice(["model.safetensors", "manifest.json"])


def _passed_over(bench: Bench, folder: Path) -> str:
    snapshots = Snapshots(folder, KEEP)
    with _warnings() as said:
        found = bench.number(snapshots.newest())
    if found != 2:
        return f"checkpoint 2 is the last good one, {found} is loaded"
    if not any(str(snapshots.path(3)) in line for line in said):
        return f"the log doesn't name the damaged checkpoint: {said}"
    return ""


@contextmanager
def _warnings() -> Iterator[list[str]]:
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("learner.snapshot")
    log.disabled = False  # A library that sets up logging switches off whatever is there.
    log.setLevel(logging.WARNING)
    log.addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger("learner.snapshot").removeHandler(handler)


# The process that saves ------------------------------------------------------------------------


def _save_on(learnt: Saved, folder: str, how: str, seed: int, said: Connection) -> int:
    """Save until killed; say each number that is saved."""
    rng = Random(f"saver {seed}")
    snapshots = Snapshots(Path(folder), KEEP)
    if how == "call":
        _die_at_a_call(rng, folder)
    elif how == "amid a file":
        _die_amid_a_file(rng)
    for number in range(2, 1_000):
        snapshots.write(number, numbered(learnt, number))
        said.send(number)
    return 0


def _die_at_a_call(rng: Random, folder: str) -> None:
    """Die before the n-th call that concerns the folder, or around a flush to the disk."""
    left = rng.randint(1, 60)

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event in CALLS and str(arguments[0]).startswith(folder):
            count()

    real = os.fsync

    def fsync(fd: Any) -> None:
        count()
        real(fd)
        count()

    sys.addaudithook(hear)
    os.fsync = fsync


def _die_amid_a_file(rng: Random) -> None:
    """Die when a drawn part of the n-th file is written."""
    left, share = rng.randint(1, 8), rng.random()
    real = snapshot._write_flushed

    def write(path: Path, data: bytes) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            real(path, data[: int(len(data) * share)])
            os.kill(os.getpid(), signal.SIGKILL)
        real(path, data)

    snapshot._write_flushed = write
