"""Seeds of interleavings, crashes and rebalances; and proof that a wrong rule is caught."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulation import wrong
from tests.simulation.__main__ import main
from tests.simulation.world import World, simulate

BLOCKS, SEEDS, STEPS = 5, 24, 500
FEW = 30
"""Seeds within which a wrong rule is found; most take under ten."""


@pytest.mark.parametrize("block", range(BLOCKS))
def test_whatever_is_drawn_nothing_is_lost_or_counted_twice(block: int) -> None:
    for seed in range(SEEDS * block, SEEDS * (block + 1)):
        outcome = simulate(seed, STEPS)
        assert outcome.verdict.clean, f"seed {seed}: {outcome.verdict}"
        assert outcome.verdict.accepted > 0


def test_a_run_that_outlives_a_rebalance_leaves_newer_states_alone() -> None:
    """Found by the simulation: a worker wakes, gets newer states, and then ends its old run."""
    outcome = simulate(382, STEPS)
    assert outcome.verdict.clean, outcome.verdict


@pytest.mark.parametrize("seed", [1, 2])
def test_with_a_learner_that_has_weights_and_files(seed: int, tmp_path: Path) -> None:
    outcome = simulate(seed, STEPS, tmp_path)
    assert outcome.verdict.clean, f"seed {seed}: {outcome.verdict}"


def test_a_seed_replays_byte_for_byte(capfd: pytest.CaptureFixture[str]) -> None:
    given = ["--first", "40", "--seeds", "2", "--steps", "300"]
    command = [sys.executable, "-m", "tests.simulation", *given]
    elsewhere = subprocess.run(
        command,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert main(given) == 0
    here: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    there: dict[str, Any] = json.loads(elsewhere.stdout.splitlines()[-1])
    assert here["digest"] == there["digest"]
    assert simulate(40, 300).digest != simulate(41, 300).digest


@pytest.mark.parametrize(
    "world",
    [
        wrong.CommitsPastWork,
        wrong.LearnerCommitsPastWork,
        wrong.AcknowledgesFirst,
        wrong.AnswersUnfenced,
    ],
)
def test_a_wrong_rule_is_caught(world: type[World]) -> None:
    assert any(not world(seed).run(STEPS).verdict.clean for seed in range(FEW))
