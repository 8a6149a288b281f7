"""The data folder: what of it is ours, one user at a time, and starting anew."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO, Any

from stream.errors import Halt

OURS = ("broker", "features", "state", "models", "logs", "run")
"""All that Tidemill writes there. Starting anew removes these and nothing else."""

PRIVATE = 0o077
"""The umask of every process that writes there: its files are for this user only."""


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
            if not self.path.exists():
                private_folder(self.path)
            for name in OURS:  # of a release that left them open, or of another umask
                if (self.path / name).is_dir():
                    private_folder(self.path / name)
            self._lock: IO[str] = private_file(self.path / ".lock", "a+")
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


def private_folder(path: Path) -> None:
    """Make a folder that only this user can enter, whatever the umask; tighten one that is there.

    Missing parents are made alike; parents that are there stay as they are.

    Raises
    ------
    OSError
        If it can't be made.
    """
    for folder in reversed((path, *path.parents)):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    found = path.stat()
    if found.st_mode & 0o077 and found.st_uid == os.getuid():
        path.chmod(0o700)


def private_file(path: Path, mode: str) -> IO[Any]:
    """Open a file for writing that only this user can read, whatever the umask."""
    file = open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))
    found = os.fstat(file.fileno())
    if found.st_mode & 0o077 and found.st_uid == os.getuid():
        os.fchmod(file.fileno(), 0o600)
    return file
