"""A role that can be told to die at a point: `python -m tests.chaos.worker ROLE CONTROL`.

It is the product's own `tidemill worker ROLE`, with the methods around some points wrapped. The
control file says at which point the process kills itself (`die_at`), and by how much its clock is
off (`clock_ms`); without the file it does neither. The file is read again whenever it changed.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from infra import cli
from infra.roles import role_of
from stream.clock import SystemClock


class Orders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the control file says."""

    die_at: str = ""
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

    def reached(self, point: str) -> None:
        """Die, if this is the point."""
        if self.orders.die_at == point:
            os.kill(os.getpid(), signal.SIGKILL)


def _after(home: Any, name: str, reached: Callable[..., None]) -> None:
    """Call `reached(*arguments)` whenever a function or method has returned."""
    real = getattr(home, name)

    @functools.wraps(real)
    async def later(*arguments: Any, **named: Any) -> Any:
        result = await real(*arguments, **named)
        reached(*arguments)
        return result

    @functools.wraps(real)
    def now(*arguments: Any, **named: Any) -> Any:
        result = real(*arguments, **named)
        reached(*arguments)
        return result

    wanted = real if inspect.isfunction(real) else real.__call__
    setattr(home, name, later if inspect.iscoroutinefunction(wanted) else now)


def _ingest_profile(control: Control) -> None:
    from features.agent import ProfileAgent
    from features.store_feast import FeastStore
    from stream.agent import IngestAgent
    from stream.changes import Producer

    # Events are on `events`; their dead letters aren't, and nothing is acknowledged.
    _after(IngestAgent, "_publish_events", lambda _, result: _if(result.events, control, "events"))
    # The online store has the rows; nothing else does.
    _after(FeastStore, "write", lambda *_: control.reached("rows written"))
    _after(ProfileAgent, "_publish", lambda *_: control.reached("examples published"))
    # The local table has the states; their changes are not on the changelog yet.
    _after(ProfileAgent, "__call__", lambda *_: control.reached("state written"))
    # The changelog has them; the run is not acknowledged, its offset not committed.
    _after(Producer, "flush", lambda *_: control.reached("changelog written"))


def _if(something: object, control: Control, what: str) -> None:
    if something:
        control.reached(f"{what} published")


def _learner(control: Control) -> None:
    from learner import snapshot
    from learner.versions_agent import VersionsAgent

    real = snapshot._write_flushed  # noqa: SLF001 - the only place where half a file can be left

    def half_written(path: Path, data: bytes) -> None:
        if path.parent.parent.name == "checkpoints" and control.orders.die_at == "mid checkpoint":
            real(path, data[: len(data) // 2])
            control.reached("mid checkpoint")
        real(path, data)

    setattr(snapshot, "_write_flushed", half_written)  # noqa: B010 - mypy knows it as a function

    def written(snapshots: snapshot.Snapshots, *_: object) -> None:
        if snapshots.folder.name == "checkpoints":
            control.reached("checkpoint written")

    # A checkpoint is whole; no version is made of it, and no run is acknowledged.
    _after(snapshot.Snapshots, "write", written)
    # A version is on the disk; nobody was told.
    _after(VersionsAgent, "make_live", lambda *_: control.reached("version written"))


def _serving(control: Control) -> None:
    from serving.answer import Answerer
    from serving.send_kafka import Outbox

    _after(Answerer, "answer", lambda *_: control.reached("answers made"))
    # Answers are out; the offsets of their requests are not committed.
    _after(Outbox, "send", lambda *_: control.reached("answers sent"))


_WRAPS: dict[str, Callable[[Control], None]] = {
    "ingest-profile": _ingest_profile,
    "learner": _learner,
    "serving": _serving,
}


def main(arguments: list[str]) -> int:
    """Wrap the role's points, then run it as the product's command does."""
    role, control = role_of(arguments[0]), Control(Path(arguments[1]))
    real_now_ms = SystemClock.now_ms

    def now_ms(clock: SystemClock) -> int:
        return real_now_ms(clock) + control.orders.clock_ms

    setattr(SystemClock, "now_ms", now_ms)  # noqa: B010
    _WRAPS[role](control)
    return cli.run(["worker", role])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
