"""The bench of the learner's loop: what its bars say of seconds, and that its loops learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from infra.bench import learn_ours
from infra.bench.learn import bars
from infra.bench.learn_bare import BareLoop
from infra.bench.learn_limits import Moved, counted
from infra.bench.learn_ours import in_parts
from infra.bench.learn_shop import shop_examples
from infra.bench.learn_together import SMALL
from learner.online import OnlineLearner

CPU = torch.device("cpu")

FOUND = {
    "learner": 0.001,
    "libraries": 0.0009,
    "ours": 0.0005,
    "part count": 0.0002,
    "part features": 0.0006,
    "checkpoint": 0.25,
    "every": 5.0,
    "flops": 1e6,
    "moved": 1e6,
    "steps": 3.0,
    "most flops": 6e10,
    "most moved": 1e10,
}


def test_a_checkpoints_share_is_taken_from_the_learner() -> None:
    stock, same, *_ = bars("cpu", FOUND)
    assert stock.value == pytest.approx(1000 * 5.0 / 5.25)
    assert stock.ratio == pytest.approx(0.9 * 5.0 / 5.25)
    assert stock.holds
    assert same.ratio == pytest.approx(0.5 * 5.0 / 5.25)
    assert same.holds is False


def test_the_parts_add_up_to_the_whole() -> None:
    parts = [bar for bar in bars("cpu", FOUND) if "part" in bar.name and bar.unit != "ms"]
    assert parts[0].name == "learn/cpu-part-features"
    assert sum(bar.value for bar in parts) == pytest.approx(1000.0)
    assert sum(bar.ratio or 0.0 for bar in parts) == pytest.approx(1.0)


def test_both_bare_loops_learn_alike() -> None:
    catalog, examples = shop_examples(192, width=16, steps=8)
    losses = []
    for ours in (True, False):
        loop = BareLoop(catalog, SMALL, ours=ours)
        loop.dropout = 0.0
        (batch,) = loop.batches(catalog, examples)
        losses.append([float(loop.step(batch)) for _ in range(8)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    assert losses[0][-1] < losses[0][0]
    flops, moved = counted(lambda: loop.step(batch))
    assert flops > 0
    assert moved > flops / 100


def test_parts_are_timed_apart_and_left_as_they_were() -> None:
    catalog, examples = shop_examples(64, width=16, steps=8)
    learner = OnlineLearner(catalog, SMALL)
    before = [place.__dict__[name] for place, name, _ in learn_ours.PARTS]
    with in_parts(CPU) as shares:
        learner.learn_many(examples)
    assert [place.__dict__[name] for place, name, _ in learn_ours.PARTS] == before
    assert {"features", "count", "net steps", "transformer steps"} <= set(shares)
    assert all(seconds >= 0 for seconds in shares.values())


def test_moved_bytes_are_those_of_operands_and_results() -> None:
    left = torch.ones(10)
    with Moved() as moved:
        left.add(left)
    assert moved.bytes == 3 * 40
