"""The demo's screen as a picture: `python -m infra.demo.picture docs/demo.svg` saves it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console

from infra.demo.scene import Scene
from infra.demo.view import render

WIDTH, HEIGHT = 104, 32
"""Wide enough for whole reasons, and still legible in a README's column."""

EVENTS = 3_000
ARGUMENTS = 2


def save(scene: Scene, path: Path) -> None:
    """Draw the scene as SVG."""
    console = Console(
        record=True,
        file=io.StringIO(),
        width=WIDTH,
        height=HEIGHT,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(render(scene, WIDTH, HEIGHT), height=HEIGHT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(console.export_svg(title="tidemill demo"), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Play the demo and save its screen as it was while the last events came in."""
    if len(arguments) != ARGUMENTS:
        print(f"usage: python -m infra.demo.picture FILE.svg, got {arguments[1:]}")
        return 2
    from infra.demo.command import DemoOptions, run  # noqa: PLC0415 - starts the whole stack

    return run(DemoOptions(events=EVENTS, fresh=True, picture=Path(arguments[1])))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
