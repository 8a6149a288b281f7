"""The data folder: what of it is ours, one user at a time, and starting anew."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from stream.errors import Halt

OURS = ("broker", "features", "state", "models", "logs", "run")
"""All that Tidemill writes there. Starting anew removes these and nothing else."""


class DataDir:
    """The folder of one running stack.

    Parameters
    ----------
    path
        The folder, made if it is missing.

    Raises
    ------
    Halt
        If it can't be used, or another stack runs on it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = (self.path / ".lock").open("a+")
        except OSError as error:
            msg = f"can't use the data folder {self.path}: {error}; choose another with --data-dir"
            raise Halt(msg) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip()
            self._lock.close()
            msg = (
                f"a stack runs in {self.path} already (process {owner}): stop it first, or choose "
                "another folder with --data-dir"
            )
            raise Halt(msg) from error
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def clear(self) -> None:
        """Remove what is ours."""
        for name in OURS:
            target = self.path / name
            if target.is_symlink():
                target.unlink()
            elif target.exists():
                shutil.rmtree(target)

    def close(self) -> None:
        """Let another stack have the folder."""
        self._lock.close()
