"""Processes that start in a tenth of a second: forked from one that has imported everything.

A role's imports take seconds, a try of a fault needs one or two processes, and a table of faults
needs hundreds of tries. The children share nothing with the test but what they are given, and die
with it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1

_starting = threading.Lock()
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.preload"])


def preload(*modules: str) -> None:
    """Import only these before the first fork: for benches that need less than all roles do."""
    _context.set_forkserver_preload(list(modules))


def warm(log: Path) -> None:
    """Wait until the imports are done: they take as long as the machine lets them."""
    fork(_nothing, log=log).join()


def fork(target: Callable[..., int | None], *arguments: Any, log: Path) -> ForkServerProcess:
    """Run a module's function in a process of its own; what it prints goes to the log.

    What the function returns is the process's exit code.
    """
    child = _context.Process(target=_run, args=(target, arguments, str(log)), daemon=True)
    # The child would import our main module anew, for targets in it: there are none.
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            child.start()
        finally:
            sys.modules["__main__"] = main
    return child


def end(child: ForkServerProcess, number: int, timeout_s: float = 60.0) -> int | None:
    """Send a signal and wait for the end; the exit code, `None` if it did not end."""
    if child.pid is not None and child.is_alive():
        os.kill(child.pid, number)
    child.join(timeout_s)
    return child.exitcode


def _nothing() -> None:
    pass


def _run(target: Callable[..., int | None], arguments: tuple[Any, ...], log: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    code = target(*arguments)
    raise SystemExit(code or 0)
