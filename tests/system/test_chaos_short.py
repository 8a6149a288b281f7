"""A short chaos run: every process killed once, one asleep through its session, Redis emptied."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.schedule import PROCESSES, draw
from tests.conftest import REPOSITORY

LIMIT_S = 900
"""It takes a minute and a half on two quiet cores, and several on busy ones."""

SEED = 510
"""A worker wakes, after its session, between its states and their changelog."""


@pytest.mark.timeout(LIMIT_S + 60)
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_nothing_is_lost_or_double(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--kills", "4", "--events", "2500"]
    command += ["--seed", str(SEED), "--brokers", "1"]
    command += ["--only", "kill,aimed,zombie,redis-wiped"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:] + done.stdout[-4_000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["kills"] == 4
    assert figures["events"] == 2_500
    assert figures["accepted"] + figures["duplicates"] + figures["dead_letters"] == 2_500
    assert min(figures["duplicates"], figures["dead_letters"], figures["requests"]) > 10
    assert figures["by_kind"]["redis-wiped"] == figures["by_kind"]["zombie"] == 1


def test_a_schedule_is_drawn_from_its_seed() -> None:
    faults = draw(seed=5, kills=100)
    assert faults == draw(seed=5, kills=100)
    kills = [fault for fault in faults if fault.kind in ("kill", "aimed")]
    for process in PROCESSES:
        assert sum(fault.target == process for fault in kills) == 25
    assert {"zombie", "broker-kill", "redis-wiped"} <= {fault.kind for fault in faults}
    assert all(5 <= fault.seconds <= 60 for fault in faults if fault.kind == "zombie")


def test_the_command_says_how_it_is_used() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "python -m tests.chaos --kills 100 --events 200000" in shown.stdout
