"""One role as a child process: started, looked after, stopped; never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.config import MetricsConfig
from infra.data_dir import PRIVATE, private_file, private_folder
from infra.exposition import read_role_file
from infra.logs import escaped
from infra.metrics_access import read_page
from infra.roles import role_file, role_log
from infra.tether import tethered

READY_TIMEOUT_S = 1.0
"""A role that is busy starting may answer late; then it is asked again."""

LOG_LIMIT_BYTES = 20_000_000
"""A log past this moves to `.1`; two of them per role is the most that logs take."""

_READY = re.compile(rb"^tidemill_role_ready 1(\.0)?$", re.MULTILINE)

_LAST_BYTES = 16_384

_SEARCHED_BYTES = 1 << 20
"""Of what a process said, where its reason to stop is looked for."""

_CRITICAL = re.compile(r"^\S+ CRITICAL \S+ \S+: (.*)")


def worker_command(role: str) -> list[str]:
    """`tidemill worker ROLE`, with this very Python."""
    return [sys.executable, "-m", "infra.cli", "worker", role]


def critical_words(line: str) -> str:
    r"""What a line of a role's log says, if it says why the process stops; in one line.

    >>> critical_words("2026-05-01T09:00:00.000Z CRITICAL learner app: role learner stops: no disk")
    'role learner stops: no disk'
    >>> print(critical_words('{"level": "CRITICAL", "message": "it\\nstops"}'))
    it\nstops
    >>> critical_words("2026-05-01T09:00:00.000Z INFO    learner app: at work")
    ''
    """
    if line.startswith("{") and '"CRITICAL"' in line:
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            return escaped(str(said.get("message"))) if said.get("level") == "CRITICAL" else ""
    found = _CRITICAL.match(line)
    return found[1] if found else ""


class Child:
    """A role's process; `start` may be called again after it ended.

    Parameters
    ----------
    role
        The role's name.
    data_dir
        Where its log and its file are.
    environ
        Its environment, settings included.
    command
        What to run, `worker_command` for instance.
    metrics
        How to read its metrics, which say whether it is ready.
    """

    def __init__(
        self,
        role: str,
        data_dir: Path,
        environ: Mapping[str, str],
        command: Sequence[str],
        metrics: MetricsConfig | None = None,
    ) -> None:
        self.role = role
        self.log_path = role_log(data_dir, role)
        self._file = role_file(data_dir, role)
        self._environ = dict(environ)
        self._command = list(command)
        self._metrics = metrics or MetricsConfig()
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    @property
    def pid(self) -> int | None:
        """The process id, `None` while there is no process."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process in its own group, tied to the life of the calling thread."""
        self._file.unlink(missing_ok=True)
        private_folder(self.log_path.parent)
        with private_file(self.log_path, "ab") as log:
            self._log_from = log.tell()
            self._process = subprocess.Popen(
                tethered(self._command),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=PRIVATE,
            )

    def exit_code(self) -> int | None:
        """How the process ended, `None` while it runs."""
        return None if self._process is None else self._process.poll()

    def metrics_url(self) -> str:
        """Where its metrics are, empty before it shows them."""
        known = read_role_file(self._file)
        return known.url if known is not None and known.pid == self.pid else ""

    def ready(self) -> bool:
        """Whether it says that it has its partitions and its state."""
        url = self.metrics_url()
        if not url:
            return False
        with contextlib.suppress(OSError):
            return _READY.search(read_page(url, self._metrics, READY_TIMEOUT_S)) is not None
        return False

    def reason(self) -> str:
        """Why it ended: the signal or exit code, and the reason or last thing that it said."""
        code = self.exit_code()
        if code is None:
            return "it runs"
        how = f"exit code {code}"
        if code < 0:
            how = f"killed by {signal.Signals(-code).name}"
        if code <= 0:
            return how
        if critical := self._critical_line():
            return f"{how}: {critical}"
        last = self.last_line()
        return f"{how}; its last words: {last}" if last else how

    def _critical_line(self) -> str:
        """The first line of this start that says why the process stops; others follow it."""
        try:
            with self.log_path.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                start = self._log_from if self._log_from <= size else 0  # it was trimmed
                log.seek(max(start, size - _SEARCHED_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((words for line in lines if (words := critical_words(line))), "")

    def last_line(self) -> str:
        """The last line in its log that isn't part of a traceback."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - _LAST_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        said = [line for line in lines if line.strip() and not line.startswith("  |")]
        return said[-1].strip() if said else ""

    def ask_to_stop(self) -> None:
        """Send SIGTERM: it finishes what is in flight, commits and leaves."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the process and its whole group at once."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, timeout_s: float) -> bool:
        """Wait for the end, then kill what is left of its group; whether it ended by itself."""
        if self._process is None:
            return True
        clean = True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            clean = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._file.unlink(missing_ok=True)
        return clean

    def trim_log(self) -> None:
        """Move a log that has grown too large aside; the role goes on writing to the same file."""
        with contextlib.suppress(OSError):
            if self.log_path.stat().st_size > LOG_LIMIT_BYTES:
                self.log_path.with_suffix(".log.1").write_bytes(self.log_path.read_bytes())
                os.truncate(self.log_path, 0)
