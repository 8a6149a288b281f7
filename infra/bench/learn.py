"""The learner's loop beside a bare PyTorch loop of the same transformer.

Both see the same micro-batches of the simulated shop and take as many steps on each. The learner
ranks every example before it learns it, among candidates that it finds, by 35 features, nets and
weights; it counts, watches for drift, has its versions judged, and writes checkpoints. The bare
loop only steps (`infra.bench.learn_bare`), once by the libraries' own forward pass, and once by the
learner's, which is faster. Times are medians of micro-batches that take turns, on as many
threads as the role has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch

from infra.bench.apart import apart
from infra.bench.bar import Bar, Run
from learner.config import LearnerConfig

EVENTS = 10_240
LEAST = 2_048

SHARE = 0.85
"""The bar: of what the bare loop does."""

NO_GPU = "no GPU at hand"

LOOPS = "infra.bench.learn_ours:loops"


def measure(run: Run) -> Iterable[Bar]:
    """Yield what the learner does beside the bare loop: on CPU, and on a GPU where there is one."""
    events = run.sized(EVENTS, least=LEAST)
    threads = LearnerConfig().threads
    run.say(f"{events:,} examples on {threads} thread(s)")
    yield from bars("cpu", apart(LOOPS, events, "cpu", threads))
    if torch.cuda.is_available():
        run.say(f"{events:,} examples on the GPU")
        yield from bars("gpu", apart(LOOPS, events, "cuda", threads))
    else:
        bar = f"≥ {SHARE:.0%} of the bare loop on a GPU"
        yield Bar(name="learn/gpu", value=0.0, unit="examples/s", bar=f"{bar} ({NO_GPU})")


def bars(device: str, found: Mapping[str, float]) -> Iterator[Bar]:
    """Say it in rates.

    A checkpoint is written every few seconds: its share of these is taken from the learner.
    """
    share = found["every"] / (found["every"] + found["checkpoint"])
    ours = share / found["learner"]
    beside = {
        "bare": 1 / found["libraries"],
        "bare with our forward pass": 1 / found["ours"],
        "without checkpoints": 1 / found["learner"],
    }
    for name in ("bare", "bare with our forward pass"):
        ratio = ours / beside[name]
        yield Bar(
            name=f"learn/{device}" if name == "bare" else f"learn/{device}-same-forward",
            value=ours,
            unit="examples/s",
            against=beside,
            ratio=ratio,
            bar=f"≥ {SHARE:.0%} of the loop: {name}",
            holds=ratio >= SHARE,
        )
    steps = found["steps"]
    for name, unit, scale in (("flops", "TFLOP/s", 1e12), ("moved", "GB/s", 1e9)):
        most, counted = found[f"most {name}"], steps * found[name]
        yield Bar(
            name=f"learn/{device}-{name}",
            value=counted * ours / scale,
            unit=unit,
            against={
                "bare": counted / found["libraries"] / scale,
                "limit": most / scale,
            },
            ratio=counted * ours / most,
        )
    yield from _parts(device, found)


def _parts(device: str, found: Mapping[str, float]) -> Iterator[Bar]:
    whole = found["learner"]
    parts = {n.removeprefix("part "): s for n, s in found.items() if n.startswith("part ")}
    parts["rest"] = whole - sum(parts.values())
    for name, seconds in sorted(parts.items(), key=lambda part: -part[1]):
        yield Bar(
            name=f"learn/{device}-part-{name.replace(' ', '-')}",
            value=seconds * 1e6,
            unit="µs/example",
            against={"whole": whole * 1e6},
            ratio=seconds / whole,
        )
    yield Bar(
        name=f"learn/{device}-part-checkpoint",
        value=found["checkpoint"] * 1e3,
        unit="ms",
        against={"every": found["every"] * 1e3},
        ratio=found["checkpoint"] / found["every"],
    )
