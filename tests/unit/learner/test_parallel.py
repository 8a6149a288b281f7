"""Two processes learn one model: equal bit by bit, and as good as one that sees everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import torch.distributed as dist

from infra.bench.learn_together import Told
from learner.batch import histories_of
from learner.online import OnlineLearner
from learner.parallel import Group
from learner.state import save_learner
from tests.unit.learner.toy import CONFIG, catalogue, example, shelf

ITEMS = shelf("a", 6)


def test_two_processes_end_with_equal_weights_and_learn_as_well_as_one() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "infra.bench.learn_together", "--small", "--events=600", "--batch=64"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3_000:]
    told = msgspec.json.decode(done.stdout.splitlines()[-1], type=Told)
    assert told.processes == 2
    assert told.equal
    assert told.ndcg10_of_one > 0.03
    assert told.ndcg10 == pytest.approx(told.ndcg10_of_one, abs=0.02)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield Group()
    dist.destroy_process_group()


def test_a_group_of_one_learns_what_one_alone_learns(group: Group) -> None:
    examples = [example(n, ITEMS[n % 5], ITEMS[: n % 4]) for n in range(60)]
    found = []
    for peers in ((), (group,)):
        learner = OnlineLearner(catalogue(ITEMS), CONFIG, (), *peers)
        for i in range(0, 60, 20):
            learner.learn_many(examples[i : i + 20])
        found.append(save_learner(learner))
    assert found[0].meta == found[1].meta
    for name, array in found[0].arrays.items():
        np.testing.assert_array_equal(array, found[1].arrays[name], err_msg=name)


def test_rows_that_several_have_are_added_up(group: Group) -> None:
    rows_U, gradient_UD = np.array([4, 2], np.int32), torch.tensor([[1.0], [2.0]])
    rows, gradient = group.rows(rows_U, gradient_UD, 3)
    assert (rows.tolist(), gradient.tolist()) == ([2, 4], [[2.0], [1.0]])


def test_examples_come_back_as_they_were(group: Group) -> None:
    past = histories_of(catalogue(ITEMS), [example(0, "a0", ["a1", "a2"])], 8)
    everyone = group.examples(past, np.array([3], np.int32))
    assert everyone.mine == slice(0, 1)
    assert everyone.target_B.tolist() == [3]
    for name in ("rows_BT", "kinds_BT", "ts_BT", "ratings_BT", "now_B", "events_B"):
        np.testing.assert_array_equal(getattr(everyone.past, name), getattr(past, name))


def test_offsets_are_those_of_all(group: Group) -> None:
    assert group.offsets({3: 7, 1: 2}) == {1: 2, 3: 7}
    assert group.offsets({}) == {}
