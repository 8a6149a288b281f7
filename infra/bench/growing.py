"""One process of a size: how long it takes for a micro-batch, and what it holds. Run apart."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from infra.bench.fed import Rocks, catalogue, example, serving
from infra.bench.memory import resident_mb
from infra.bench.states import states
from learner.config import LearnerConfig

BATCH = 256
"""Examples of a micro-batch, the learner's default."""

ASKED = 64
"""Requests answered together."""

WARM, TIMES = 2, 5
"""Micro-batches before the clock starts, and after."""

WIDTH = 384


def learner(items: str, steps: str) -> dict[str, float]:
    """A learner with so many items and histories so long: ranks and learns micro-batches."""
    from learner.drift_river import default_detectors  # noqa: PLC0415 - states need no PyTorch
    from learner.online import OnlineLearner  # noqa: PLC0415

    sold, past = int(items), int(steps)
    config = _of_steps(LearnerConfig(), past)
    before_mb = resident_mb()
    learning = OnlineLearner(catalogue(WIDTH, sold), config, default_detectors())

    def batch(n: int) -> None:
        first = n * BATCH
        learning.learn_many([example(k, sold, past) for k in range(first, first + BATCH)])

    ms = _best_ms(batch)
    return {"ms": ms, "mb": resident_mb() - before_mb, "resident_mb": resident_mb()}


def server(items: str, steps: str) -> dict[str, float]:
    """Serving with so many items and histories so long: answers requests, encoded."""
    sold, past = int(items), int(steps)
    before_mb = resident_mb()
    with tempfile.TemporaryDirectory() as folder:
        take = serving(Path(folder), sold, past, _of_steps(LearnerConfig(), past))
        ms = _best_ms(lambda n: take(n * ASKED, (n + 1) * ASKED))
    return {"ms": ms, "mb": resident_mb() - before_mb, "resident_mb": resident_mb()}


def users(count: str) -> dict[str, float]:
    """Write the states of so many users to a table as Faust keeps it."""
    total, made = int(count), states(int(count))
    with tempfile.TemporaryDirectory() as name:
        table, before_mb, began, size = Rocks(Path(name)), resident_mb(), time.perf_counter(), 0
        for key, state in made:
            table[key] = state
            size += len(state)
        seconds, held_mb = time.perf_counter() - began, resident_mb() - before_mb
        table.close()
        on_disk = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file())
    return {
        "s": seconds,
        "users_per_s": total / seconds,
        "mb": held_mb,
        "bytes_per_user": on_disk / total,
        "state_bytes": size / total,
    }


def _of_steps(config: LearnerConfig, steps: int) -> LearnerConfig:
    model = msgspec.structs.replace(config.model, steps=steps, transformer_steps=steps)
    return msgspec.structs.replace(config, model=model)


def _best_ms(batch: Callable[[int], None]) -> float:
    """The quickest of some micro-batches: what else the machine does only adds."""
    times = []
    for n in range(WARM + TIMES):
        began = time.perf_counter()
        batch(n)
        times.append(1_000 * (time.perf_counter() - began))
    return min(times[WARM:])
