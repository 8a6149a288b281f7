"""Where roles' imports spend the processor's time, as a picture.

    python -m infra.bench.imports docs/profiles/startup-after.svg learner serving
    python -m infra.bench.imports

The second only imports what all roles do, which writes its bytecode (`make install`).

`python -X importtime` counts seconds on the wall, which say little on a busy machine; this counts
the process's own. What is below a module was imported by it for the first time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from html import escape
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from infra.roles import ROLES

STREAMS = ("stream.app", "stream.worker", "stream.publish")

IMPORTS = {
    "ingest-profile": (*STREAMS, "stream.agent", "features.agent", "features.store_feast"),
    "learner": (*STREAMS, "learner.drift_river", "learner.encoder", "learner.online")
    + ("learner.agent",),
    "serving": ("features.store_feast", "infra.scorer_models", "serving.agent"),
}
"""What `infra.wiring` imports for a role, in about its order."""

WIDTH, ROW, LEAST = 1_200, 18, 2.0
"""Of the picture, in pixels; what is narrower than the last is left out."""


class Import:
    """A module, the processor's seconds that its import took, and what it imported first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds = 0.0
        self.below: list[Import] = []

    def walk(self, depth: int = 0, left: float = 0.0) -> Iterator[tuple[int, float, Import]]:
        """All of it as (depth, seconds before it, module)."""
        yield depth, left, self
        for one in self.below:
            yield from one.walk(depth + 1, left)
            left += one.seconds


class _Watch:
    """Stands before the loaders' `exec_module` and counts."""

    def __init__(self) -> None:
        self.at = [Import("all")]

    def over(self, loader: Any) -> None:
        """Count what a class of loaders executes."""
        plain = loader.exec_module

        def counted(which: Any, module: ModuleType) -> None:
            one = Import(module.__name__)
            self.at[-1].below.append(one)
            self.at.append(one)
            began = time.process_time()
            try:
                plain(which, module)
            finally:
                one.seconds = time.process_time() - began
                self.at.pop()

        loader.exec_module = counted


def watched(*roles: str) -> Import:
    """Import what roles do in this process, once; says where the time went."""
    watch = _Watch()
    for loader in (SourceFileLoader, ExtensionFileLoader):
        watch.over(loader)
    began = time.process_time()
    for role in roles:
        for name in IMPORTS[role]:
            import_module(name)
    watch.at[0].seconds = time.process_time() - began
    watch.at[0].name = " + ".join(roles)
    return watch.at[0]


def picture(top: Import) -> str:
    """Draw an icicle as SVG: as wide as it took long, below each what it imported."""
    scale = WIDTH / max(top.seconds, 1e-9)
    shown = [
        (depth, left * scale, one)
        for depth, left, one in top.walk()
        if one.seconds * scale >= LEAST
    ]
    height = ROW * (2 + max(depth for depth, _, _ in shown))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="monospace" font-size="10">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fffdf7"/>',
    ]
    for depth, left, one in shown:
        wide = one.seconds * scale
        words = f"{one.name} {one.seconds:.2f} s"
        colour = f"hsl({sum(one.name.split('.')[0].encode()) * 7 % 360},60%,80%)"
        at = f'x="{left:.1f}" y="{depth * ROW}"'
        lines.append(
            f'<rect {at} width="{wide:.1f}" height="{ROW - 1}" fill="{colour}">'
            f"<title>{escape(words)}</title></rect>"
        )
        if (room := int(wide / 6.2)) > len(words) // 3:
            at = f'x="{left + 3:.1f}" y="{depth * ROW + 12}"'
            lines.append(f"<text {at}>{escape(words[:room])}</text>")
    return "\n".join([*lines, "</svg>\n"])


def everything() -> None:
    """Import what any role does, with what it imports later, at its first text."""
    from learner.config import EncoderConfig  # noqa: PLC0415 - what a picture is to see for itself
    from learner.encoder import TextEncoder  # noqa: PLC0415

    watched(*ROLES)
    TextEncoder(EncoderConfig())


def main(arguments: list[str]) -> None:
    """Command line."""
    if not arguments:
        everything()
        return
    file, *roles = arguments
    if not roles or not set(roles) <= set(ROLES):
        sys.exit(__doc__)
    Path(file).write_text(picture(watched(*roles)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
