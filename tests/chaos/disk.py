"""A small disk of its own for a process, so that it can be full."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path

CHUNK = bytes(1 << 20)


class Disk:
    """A tmpfs on a folder, where this user may mount one; otherwise a folder like any other."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        mount = shutil.which("mount")
        command = [mount or "mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
        self.can_fill = (
            mount is not None
            and not subprocess.run(command, capture_output=True, check=False).returncode
        )

    def fill(self) -> None:
        """Leave no byte free."""
        with (self._folder / "ballast").open("ab", buffering=0) as ballast:
            for piece in (CHUNK, bytes(4096)):
                try:
                    while ballast.write(piece) == len(piece):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Make room again."""
        (self._folder / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        """Take the disk away, with what is on it but for its logs."""
        if self.can_fill:
            logs = self._folder / "logs"
            if logs.is_dir():
                kept = self._folder.with_name(f"{self._folder.name}-logs")
                shutil.copytree(logs, kept, dirs_exist_ok=True)
            subprocess.run(["umount", "--lazy", str(self._folder)], check=False)
            self.can_fill = False
