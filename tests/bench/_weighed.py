"""What a process holds: memory, files, threads; and how fast that grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import psutil


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a process."""

    at_s: float
    rss_mb: float
    files: int
    threads: int


def weigh(pid: int, at_s: float) -> Weight | None:
    """Look at a process; `None` if it is not there."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Weight(
                at_s=at_s,
                rss_mb=process.memory_info().rss / 1e6,
                files=process.num_fds(),
                threads=process.num_threads(),
            )
    except psutil.NoSuchProcess:
        return None


def bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder, files that vanish meanwhile left out."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def slope(at: Sequence[float], values: Sequence[float]) -> float:
    """The growth per unit of `at`, by least squares.

    >>> round(slope([0, 1, 2], [5.0, 7.0, 9.0]), 6)
    2.0
    """
    if len(at) < 2:  # noqa: PLR2004 - one point has no slope
        return 0.0
    return float(np.polyfit(np.asarray(at, float), np.asarray(values, float), 1)[0])
