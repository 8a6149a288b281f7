"""A role that dies or stops at a point when told to: `python -m tests.chaos.worker ROLE CONTROL`.

It is the product's own `tidemill worker ROLE`, with the functions of its crash points wrapped. The
control file says at which point (`tests.faults.points`) the process kills itself or stops in its
tracks, and by how much its clock is off; without the file it does nothing of this. The file is read
again whenever it changed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec

from infra import cli
from infra.roles import role_of
from stream.clock import SystemClock
from tests.faults.points import POINTS, Point, kill_myself, resolve, wrapped


class Orders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the control file says."""

    die_at: str = ""
    stop_at: str = ""
    clock_ms: int = 0


class Control:
    """The orders as they are now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed_ns = -1
        self._orders = Orders()

    @property
    def orders(self) -> Orders:
        """The newest orders."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns != self._changed_ns:
                self._orders = msgspec.json.decode(self._path.read_bytes(), type=Orders)
                self._changed_ns = changed_ns
        except FileNotFoundError:
            self._orders, self._changed_ns = Orders(), -1
        return self._orders

    def obeyed(self) -> None:
        """Orders hold once: who wakes goes on."""
        self._path.unlink(missing_ok=True)


def _wrap(name: str, point: Point, control: Control) -> None:
    home, attribute, real = resolve(point.at)

    def reached() -> None:
        if control.orders.die_at == name:
            kill_myself(name)
        if control.orders.stop_at == name:
            control.obeyed()
            os.kill(os.getpid(), signal.SIGSTOP)

    def due() -> bool:  # who wakes again has done the whole of it
        return control.orders.die_at == name

    setattr(home, attribute, wrapped(real, point, reached, due))


def main(arguments: list[str]) -> int:
    """Wrap the role's points, then run it as the product's command does."""
    role, control = role_of(arguments[0]), Control(Path(arguments[1]))
    real_now_ms = SystemClock.now_ms

    def now_ms(clock: SystemClock) -> int:
        return real_now_ms(clock) + control.orders.clock_ms

    setattr(SystemClock, "now_ms", now_ms)  # noqa: B010
    for name, point in POINTS.items():
        if point.role == role:
            _wrap(name, point, control)
    return cli.run(["worker", role])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
