"""`tidemill demo`: start the stack, play on it, show it, audit it, stop it.

1. Settings: what the demo needs differently, where the user hasn't chosen.
2. The stack starts; the screen shows what is going on.
3. The play, until it ends or Ctrl-C; then settling and audit (`performance.py`).
4. Everything stops; the figures are printed, as a table or as one JSON object.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from infra.config import BrokerConfig, RunConfig
from infra.demo.figures import Figures, as_table
from infra.demo.performance import Performance
from infra.demo.play import PlayConfig
from infra.demo.scene import Health, Role
from infra.demo.screen import open_screen
from infra.demo.script import LogScript, Script, ShopScript
from infra.exposition import read_role_file
from infra.roles import SUPERVISOR, role_file
from infra.settings import DEFAULT, Settings
from infra.supervise import Supervisor
from stream.clock import Clock, SystemClock
from stream.formats import open_log

HEALTH: Mapping[str, Health] = {"ready": "ready", "starting": "starting"}
"""How the screen calls the supervisor's states; all others are `down`."""

HURRY = 3
"""The Ctrl-C that stops waiting for a clean end."""


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says."""

    settings: Settings = msgspec.field(default_factory=Settings.load)
    events: int | None = None
    """Raw events after which the demo ends by itself."""
    log: Path | None = None
    """A recorded log to play instead of the simulated shop."""
    seed: int = 7
    rate_per_s: float | None = None
    json: bool = False
    fresh: bool = False
    embedded: bool = True
    """Whether to run a broker, rather than use `kafka.bootstrap_servers`."""
    picture: Path | None = None
    """Where to save the screen as SVG while the last events are played."""


def demo_settings(settings: Settings, log_name: str | None) -> Settings:
    """The settings with what the demo needs, wherever the user has chosen nothing.

    Its folder lies beside that of `tidemill up`, one for the shop and one for each log, so that a
    play never mixes with a real shop; pushes are on; a broker port that is taken is no obstacle.
    """
    wanted: dict[str, object] = {"serving.push": True}
    name = "demo" if log_name is None else f"demo-{log_name}"
    wanted["run.data_dir"] = str(Path(settings.section(RunConfig).data_dir) / name)
    if is_taken(settings.section(BrokerConfig).port):
        wanted["broker.port"] = 0
    free = {path: value for path, value in wanted.items() if settings.origin(path) == DEFAULT}
    return settings.with_values(free, "the demo")


def is_taken(port: int) -> bool:
    """Whether another process listens on a port of this machine."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return port != 0 and probe.connect_ex(("127.0.0.1", port)) == 0


def run(options: DemoOptions) -> int:
    """Run the demo; the exit code, 1 if the audit found a fault.

    Raises
    ------
    stream.errors.TidemillError
        If the stack can't start or stops, or nothing moves any more.
    """
    clock = SystemClock()
    rate_per_s = options.rate_per_s or PlayConfig().rate_per_s
    log = open_log(options.log) if options.log else None
    script: Script = (
        LogScript(log, options.events, clock)
        if log
        else ShopScript(options.seed, rate_per_s, clock)
    )
    settings = demo_settings(options.settings, log.name if log else None)
    figures, settled, restarts = _play(options, settings, script, rate_per_s, clock)

    faults = figures.faults()
    if options.json:
        line: dict[str, Any] = {
            **msgspec.to_builtins(figures),
            "settled": settled,
            "restarts": restarts,
        }
        print(msgspec.json.encode(line).decode(), flush=True)
    else:
        Console().print(as_table(figures))
    for fault in faults:
        print(f"fault: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _play(
    options: DemoOptions, settings: Settings, script: Script, rate_per_s: float, clock: Clock
) -> tuple[Figures, bool, dict[str, int]]:
    performance = Performance(
        script, config=PlayConfig(rate_per_s=rate_per_s), clock=clock, planned=options.events
    )
    scene = performance.scene
    console = Console(stderr=True)
    with open_screen(console) as screen:

        def say(text: str) -> None:
            scene.notice = text
            screen.show(scene)

        supervisor = Supervisor(
            settings, embedded=options.embedded, fresh=options.fresh, say=say, clock=clock
        )

        def roles() -> Sequence[Role]:
            supervisor.check()
            folder = Path(supervisor.settings.section(RunConfig).data_dir)
            known = read_role_file(role_file(folder, SUPERVISOR))
            own = Role(SUPERVISOR, "ready", 0, known.url if known else "")
            return [
                *(
                    Role(
                        status.name,
                        HEALTH.get(status.state, "down"),
                        status.restarts,
                        status.metrics_url,
                    )
                    for status in supervisor.status()
                ),
                own,
            ]

        with supervisor:
            interrupts = 0

            def interrupt(*_: object) -> None:
                nonlocal interrupts
                interrupts += 1
                if interrupts >= HURRY:
                    supervisor.hurry()
                performance.interrupt()

            before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
            try:
                outcome = performance.perform(supervisor.kafka, roles, screen, options.picture)
                restarts = {status.name: status.restarts for status in supervisor.status()}
                scene.phase = "stopping"
                supervisor.stop()
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
    return outcome.figures, outcome.settled, restarts


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
