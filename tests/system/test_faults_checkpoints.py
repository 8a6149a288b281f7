"""Checkpoints that are killed, flipped and cut: the last good one loads, the bad one is named.

`python -m tests.bench checkpoints` does ten times as much of the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.checkpoint_tries import Bench, flipped, killed, truncated


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("attempt", "tries"),
    [(killed, 20), (flipped, 20), (truncated, 10)],
    ids=["killed", "flipped", "truncated"],
)
def test_the_last_good_checkpoint_loads(
    bench: Bench, attempt: Callable[[Bench, int, Path], str], tries: int, tmp_path: Path
) -> None:
    for seed in range(tries):
        assert attempt(bench, seed, tmp_path / str(seed)) == "", seed
