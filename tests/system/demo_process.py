"""A demo as its user starts it: one process, which starts the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

TIDEMILL = (sys.executable, "-m", "infra.cli")


def start_demo(data_dir: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `tidemill demo` in a data folder of its own, on free ports."""
    command = [*TIDEMILL, "demo", "--data-dir", str(data_dir), *arguments]
    with (data_dir / "stderr").open("w") as err:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)


def role_file(data_dir: Path, role: str) -> dict[str, Any]:
    """What a running role wrote down about itself; empty while there is none."""
    try:
        found: dict[str, Any] = json.loads((data_dir / "run" / f"{role}.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def metrics_url(data_dir: Path, role: str) -> str:
    """Where a role shows its metrics; empty while it shows none."""
    port = role_file(data_dir, role).get("port")
    return f"http://127.0.0.1:{port}/metrics" if port else ""


def figures(demo: subprocess.Popen[str], data_dir: Path, timeout_s: float) -> dict[str, Any]:
    """Wait for the end, and read the last line."""
    out, _ = demo.communicate(timeout=timeout_s)
    said = (data_dir / "stderr").read_text()
    assert demo.returncode == 0, f"exit code {demo.returncode}:\n{said[-4000:]}"
    last: dict[str, Any] = json.loads(out.splitlines()[-1])
    return last


def stop(demo: subprocess.Popen[str], with_signal: signal.Signals) -> int:
    """End a demo as Ctrl-C does; by force if that doesn't help."""
    if demo.poll() is None:
        os.kill(demo.pid, with_signal)
    try:
        demo.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        demo.kill()
        demo.communicate()
        raise
    return demo.returncode


def wait_for(what: Callable[[], T], demo: subprocess.Popen[str], timeout_s: float) -> T:
    """Ask until the answer is a true value."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if found := what():
            return found
        assert demo.poll() is None, "the demo ended early"
        time.sleep(0.1)
    pytest.fail(f"not within {timeout_s} s")
