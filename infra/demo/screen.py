"""Where the scene is shown: live in a terminal, or as a line now and then elsewhere.

Everything goes to standard error, so that standard output stays free for the JSON line.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live

from infra.demo.scene import Scene
from infra.demo.view import plain_line, render

LINE_EVERY_S = 5.0
"""Between two plain lines, unless something else is to be said."""

SMALLEST = (80, 24)


class Screen(Protocol):
    """Shows a scene, and goes away cleanly."""

    def __enter__(self) -> Screen:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was found."""

    def show(self, scene: Scene) -> None:
        """Show the scene as it is now."""


class LiveScreen:
    """The whole terminal, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveScreen:
        """Take the terminal's alternate screen."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        self._live.stop()

    def show(self, scene: Scene) -> None:
        """Redraw."""
        width, height = self._console.size
        self._live.update(render(scene, width, height), refresh=True)


class PlainScreen:
    """One line every few seconds, and at every change of phase or notice."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_s = -LINE_EVERY_S
        self._said = ("", "")

    def __enter__(self) -> PlainScreen:
        """Nothing to take."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to give back."""

    def show(self, scene: Scene) -> None:
        """Print a line if it is time."""
        phase = scene.phase.partition(":")[0]
        said = (phase, scene.notice)
        if said == self._said and scene.elapsed_s - self._shown_s < LINE_EVERY_S:
            return
        self._said, self._shown_s = said, scene.elapsed_s
        self._console.print(plain_line(scene), soft_wrap=True, highlight=False, markup=False)


def open_screen(console: Console) -> LiveScreen | PlainScreen:
    """The live screen on a terminal that is large enough, else plain lines."""
    width, height = console.size
    if console.is_terminal and width >= SMALLEST[0] and height >= SMALLEST[1]:
        return LiveScreen(console)
    return PlainScreen(console)
