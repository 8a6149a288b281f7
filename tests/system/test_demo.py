"""The demo as a user starts it: a process, a real broker, its last line."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import psutil
import pytest

from infra.demo.gauges import scrape
from tests.system.demo_process import figures, metrics_url, role_file, start_demo, stop, wait_for

EVENTS = 1_200
KEYS = {
    "events",
    "accepted",
    "duplicates",
    "dead_letters",
    "recommendations",
    "lag",
    "adapter_versions",
    "shifts",
    "ndcg10",
    "ndcg10_popularity",
    "event_to_recommendation_ms",
    "event_to_weights_s",
}
BUSY_RUNS = 5
"""Micro-batches after which a role counts as being in the middle of its work."""


def pid_of(data_dir: Path, role: str) -> int:
    """The role's process, 0 while there is none."""
    return int(role_file(data_dir, role).get("pid", 0))


def is_replaced(data_dir: Path, role: str, old: int) -> bool:
    """Whether another process has taken the role over."""
    return pid_of(data_dir, role) not in (0, old)


def is_busy(data_dir: Path, role: str) -> bool:
    """Whether the role has done some work since it started."""
    page = scrape(metrics_url(data_dir, role) or "http://127.0.0.1:9")
    return page is not None and page.total("tidemill_run_records_count") > BUSY_RUNS


@pytest.mark.timeout(400)
def test_nothing_is_lost_when_every_role_is_killed_in_the_middle(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--events", str(EVENTS), "--rate", "40", "--json", "--seed", "3")
    try:
        for role in ("ingest-profile", "learner", "serving"):
            wait_for(partial(is_busy, tmp_path, role), demo, 120)
            pid = pid_of(tmp_path, role)
            os.kill(pid, signal.SIGKILL)
            wait_for(partial(is_replaced, tmp_path, role, pid), demo, 60)
        children = psutil.Process(demo.pid).children(recursive=True)
        last = figures(demo, tmp_path, 240)
    finally:
        if demo.poll() is None:
            demo.kill()

    assert last.keys() >= KEYS
    assert last["events"] == EVENTS
    assert last["accepted"] + last["duplicates"] + last["dead_letters"] == EVENTS
    assert last["duplicates"] > 0
    assert last["dead_letters"] > 0
    assert last["lost"] == last["unprofiled"] == last["unanswered"] == 0
    assert set(last["lag"].values()) == {0}
    assert last["adapter_versions"] >= 1
    assert last["restarts"] == {"ingest-profile": 1, "learner": 1, "serving": 1}
    assert last["event_to_recommendation_ms"]["p50"] > 0
    assert last["event_to_weights_s"]["p50"] > 0
    assert not any(child.is_running() for child in children), "a process is left behind"


@pytest.mark.timeout(300)
def test_ctrl_c_settles_audits_and_leaves_no_process(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--rate", "40")
    wait_for(partial(is_busy, tmp_path, "serving"), demo, 120)
    children = psutil.Process(demo.pid).children(recursive=True)

    assert stop(demo, signal.SIGINT) == 0
    assert not any(child.is_running() for child in children), "a process is left behind"
    assert "neither accepted" not in (tmp_path / "stderr").read_text()
