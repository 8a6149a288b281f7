"""Run a bench by its module's name: `python -m tests.bench shop --json`."""

from __future__ import annotations

import pkgutil
import runpy
import sys
from pathlib import Path


def names() -> list[str]:
    folder = str(Path(__file__).parent)
    return sorted(m.name for m in pkgutil.iter_modules([folder]) if not m.name.startswith("_"))


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in names():
        sys.stderr.write(f"python -m tests.bench NAME …, where NAME is one of {names()}\n")
        return 2
    name, *rest = arguments
    sys.argv[1:] = rest
    runpy.run_module(f"tests.bench.{name}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
