"""Run a program that dies with its parent: `python -I -S tether.py PARENT_PID PROGRAM ARGS...`.

A separate step between fork and exec, since code that runs between the two in a process with
threads may deadlock. It becomes the program (same process id), so nothing stays in between.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
"""Linux: the signal that a process gets when the thread that started it ends (prctl(2))."""


def tethered(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` tied to the life of this process.

    On Linux the kernel ties them. Elsewhere the command runs as it is: a parent that is killed
    hard leaves it behind there. Start it from a thread that lives as long as the program shall.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(parent: int, command: Sequence[str]) -> None:
    """Tie this process to its parent, then become the command."""
    import ctypes  # noqa: PLC0415 - only the child needs it, and it is slow to import

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the tie held
        sys.exit(1)
    os.execv(command[0], list(command))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
