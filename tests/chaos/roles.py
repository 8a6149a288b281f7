"""The roles' processes: started, killed, stopped in their tracks, and started again.

Whoever starts a process has to live as long as it shall (`infra.tether`): all of this is called
from one thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from infra.child import Child
from infra.roles import ROLES
from infra.settings import Settings
from infra.supervise import child_environment
from tests.chaos.schedule import role_of
from tests.chaos.worker import Orders

RESTART_S = 0.5
"""Pause before a start, as the supervisor's first one."""

ASK_S = 0.25
"""Pause between two questions whether a process is ready."""

STOP_S = 60.0

State = Literal["starting", "ready", "dead", "paused", "leaving", "away"]


class Process:
    """One role's process, and what has become of it.

    Attributes
    ----------
    state
        `dead` is started again soon, `away` only when somebody says so.
    crashes
        Why it ended without having been told to.
    """

    def __init__(
        self, name: str, settings: Settings, folder: Path, say: Callable[[str], None]
    ) -> None:
        self.name, self.role = name, role_of(name)
        self.folder = folder
        self.state: State = "away"
        self.ready_since_s = 0.0
        self.crashes: list[str] = []
        self._say = say
        self._control = folder / "control.json"
        self._doomed = False
        self._due_s = 0.0
        self._asked_s = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        mine: Mapping[str, object] = {
            "run.data_dir": str(folder),
            f"{'serving' if self.role == 'serving' else 'stream'}.instance": name,
            **{f"metrics.{role.replace('-', '_')}": 0 for role in ROLES},
        }
        environ = child_environment(self.role, settings.with_values(mine, "the run"), os.environ)
        command = [sys.executable, "-m", "tests.chaos.worker", self.role, str(self._control)]
        self.child = Child(self.role, folder, environ, command)

    @property
    def pid(self) -> int:
        """The process id."""
        pid = self.child.pid
        assert pid is not None, f"{self.name} was never started"
        return pid

    def start(self) -> None:
        """Start it, with no orders."""
        self._control.unlink(missing_ok=True)
        self._doomed = False
        self.child.start()
        self.state = "starting"

    def look(self) -> bool:
        """See what it does, and start it if it is due; whether an aimed kill has hit it."""
        now_s = time.monotonic()
        if self.state == "away":
            return False
        if self.state == "dead":
            if now_s >= self._due_s:
                self.start()
            return False
        if self.child.exit_code() is not None:
            return self._ended(now_s)
        if self.state == "leaving" and now_s >= self._due_s:
            self._note(f"did not end in {STOP_S:g} s when asked to")
            self.child.kill()
        if self.state == "starting" and now_s - self._asked_s > ASK_S:
            self._asked_s = now_s
            if self.child.ready():
                self.state, self.ready_since_s = "ready", now_s
        return False

    def order(self, orders: Orders) -> None:
        """Tell it at which point to die, or how wrong its clock is."""
        self._doomed = bool(orders.die_at)
        aside = self._control.with_suffix(".aside")
        aside.write_bytes(msgspec.json.encode(orders))
        aside.rename(self._control)

    def kill(self) -> None:
        """Kill -9; it is started again soon."""
        self.child.kill()
        self.child.end(0)
        self._dead(time.monotonic())

    def pause(self) -> None:
        """Stop it in its tracks, unless it has stopped already: it is there, and does nothing."""
        if not self.stopped():
            os.kill(self.pid, signal.SIGSTOP)
        self.state = "paused"

    def stopped(self) -> bool:
        """Whether it has stopped, by itself or by `pause`."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        return False

    def resume(self) -> None:
        """Let it go on, as if no time had passed."""
        if self.state == "paused":
            self._control.unlink(missing_ok=True)
            os.kill(self.pid, signal.SIGCONT)
            self.state = "starting"

    def leave(self) -> None:
        """Ask it to end; it is not started again."""
        if self.state in ("away", "leaving"):
            return
        if self.state == "dead":
            self.state = "away"
            return
        self.resume()
        self.child.ask_to_stop()
        self.state, self._due_s = "leaving", time.monotonic() + STOP_S

    def _ended(self, now_s: float) -> bool:
        code, doomed, leaving = self.child.exit_code(), self._doomed, self.state == "leaving"
        reason = self.child.reason()
        self.child.end(0)
        self._dead(now_s)
        if leaving:
            self.state = "away"
        if doomed and code == -signal.SIGKILL:
            return True
        if not leaving or code not in (0, -signal.SIGTERM):  # asked while it started
            self._note(reason)
        return False

    def _note(self, reason: str) -> None:
        self.crashes.append(f"{self.name}: {reason}")
        self._say(f"{self.name} of itself: {reason}")

    def _dead(self, now_s: float) -> None:
        self.state, self._due_s = "dead", now_s + RESTART_S
