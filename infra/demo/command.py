"""`tidemill demo`: start the stack, play on it, show it, audit it, stop it.

1. Settings: what the demo needs differently, where the user hasn't chosen.
2. The stack starts; the screen shows what is going on.
3. The play, until it ends or Ctrl-C; then settling and audit (`performance.py`).
4. Everything stops; the figures are printed, as a table or as one JSON object.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from infra.config import BrokerConfig, MetricsConfig, RunConfig
from infra.demo.figures import Figures, as_table
from infra.demo.performance import Performance
from infra.demo.play import PlayConfig
from infra.demo.scene import Health, Role
from infra.demo.screen import LiveScreen, open_screen
from infra.demo.script import LogScript, Script, ShopScript
from infra.roles import SUPERVISOR
from infra.settings import DEFAULT, Settings
from infra.supervise import Supervisor
from stream.clock import Clock, SystemClock
from stream.formats import open_log
from stream.shop_words import Language

HEALTH: Mapping[str, Health] = {"ready": "ready", "starting": "starting"}
"""How the screen calls the supervisor's states; all others are `down`."""

QUIET = {"kafka.cluster": logging.CRITICAL, "kafka.net.selector": logging.ERROR}
"""kafka-python tells of its own closing as an error, and of a machine that is busy for a moment."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

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
    season_at: int | None = None
    """Events of the simulated shop after which a season begins: an abrupt change for everyone."""
    language: Language = "en"
    """Of the simulated shop's texts."""
    json: bool = False
    fresh: bool = False
    embedded: bool = True
    """Whether to run a broker, rather than use `kafka.bootstrap_servers`."""
    picture: Path | None = None
    """Where to save the screen as SVG while the last events are played."""


def demo_settings(settings: Settings, apart: str | None) -> Settings:
    """The settings with what the demo needs, wherever the user has chosen nothing.

    Its folder lies beside that of `tidemill up`, one for the shop in each language and one for each
    log, so that a play never mixes with a real shop; pushes are on; a broker port that is taken is
    no obstacle.

    Parameters
    ----------
    settings
        What the user has chosen.
    apart
        What sets this play apart: the log's name, or the language; `None` for the English shop.
    """
    wanted: dict[str, object] = {"serving.push": True}
    name = "demo" if apart is None else f"demo-{apart}"
    wanted["run.data_dir"] = str(Path(settings.section(RunConfig).data_dir) / name)
    if is_taken(settings.section(BrokerConfig).port):
        wanted["broker.port"] = 0
    free = {path: value for path, value in wanted.items() if settings.origin(path) == DEFAULT}
    return settings.with_values(free, "the demo")


def play_of(options: DemoOptions, rate_per_s: float, clock: Clock) -> tuple[Script, Settings]:
    """What is played, and the settings to play it with."""
    if options.log:
        log = open_log(options.log)
        script = LogScript(log, options.events, clock)
        return script, demo_settings(options.settings, log.name)
    shop = ShopScript(
        options.seed, rate_per_s, clock, season_at=options.season_at, language=options.language
    )
    apart = None if options.language == "en" else options.language
    return shop, demo_settings(options.settings, apart)


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
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    clock = SystemClock()
    rate_per_s = options.rate_per_s or PlayConfig().rate_per_s
    script, settings = play_of(options, rate_per_s, clock)
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
        script,
        config=PlayConfig(rate_per_s=rate_per_s),
        clock=clock,
        planned=options.events,
        metrics=settings.section(MetricsConfig),
    )
    with open_screen(Console(stderr=True)) as screen, ExitStack() as at_end:
        supervisor = Supervisor(
            settings,
            embedded=options.embedded,
            fresh=options.fresh,
            say=partial(performance.say, screen),
            clock=clock,
            asked=performance.stop,
        )
        at_end.enter_context(interrupts(performance, supervisor))
        if isinstance(screen, LiveScreen):
            at_end.enter_context(logs_in_file(Path(settings.section(RunConfig).data_dir)))
        at_end.enter_context(supervisor)
        if performance.stop.is_set():
            raise KeyboardInterrupt
        outcome = performance.perform(
            supervisor.kafka, partial(processes, supervisor), screen, options.picture
        )
        restarts = {status.name: status.restarts for status in supervisor.status()}
        performance.scene.phase = "stopping"
        supervisor.stop()
    return outcome.figures, outcome.settled, restarts


def processes(supervisor: Supervisor) -> list[Role]:
    """The processes as the screen shows them; raises what has stopped the stack."""
    supervisor.check()
    roles = [
        Role(status.name, HEALTH.get(status.state, "down"), status.restarts, status.metrics_url)
        for status in supervisor.status()
    ]
    return [*roles, Role(SUPERVISOR, "ready", 0, supervisor.metrics_url)]


@contextmanager
def interrupts(performance: Performance, supervisor: Supervisor) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the play, then the settling, then the patience with processes."""
    count = 0

    def interrupt(*_: object) -> None:
        nonlocal count
        count += 1
        performance.interrupt()
        if count >= HURRY:
            supervisor.hurry()

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def logs_in_file(folder: Path) -> Iterator[None]:
    """Keep the logs off the live screen: in `demo.log`, while it is up."""
    path = folder / "demo.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    before = list(root.handlers)
    handler = logging.FileHandler(path, delay=True)
    if before:
        handler.setFormatter(before[0].formatter)
    root.handlers[:] = [handler]
    try:
        yield
    finally:
        root.handlers[:] = before
        handler.close()
