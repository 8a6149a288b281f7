"""Measure in a process of its own: its imports, threads and memory are nobody else's.

A module that is measured apart has a function that takes words and returns figures by name; this
module runs it in a child and reads its last line.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from stream.errors import TidemillError

TIMEOUT_S = 3_600.0


class Failed(TidemillError):
    """The process that was to be measured ended with an error."""


def apart(
    function: str,
    *words: object,
    python: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Call a function of ours in a new process, and return the figures that it returned.

    Parameters
    ----------
    function
        Where it is: `infra.bench.ingest:faust`. It takes strings and returns a mapping of figures.
    words
        Its arguments, written out.
    python
        Another interpreter; then `function` is the path of a script that prints figures as JSON.
    environment
        Variables over the present ones.

    Raises
    ------
    Failed
        If the process ends with an error; says its last lines.
    """
    ours = [sys.executable, "-m", "infra.bench.apart", function]
    command = ours if python is None else [str(python), function]
    done = subprocess.run(
        [*command, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode or not done.stdout.strip():
        message = f"{function} ended with {done.returncode}: {done.stderr[-2_000:]}"
        raise Failed(message)
    last = done.stdout.splitlines()[-1]
    try:
        return msgspec.json.decode(last, type=dict[str, float])
    except msgspec.DecodeError as error:
        message = f"{function} printed no figures, but {last!r}: {error}"
        raise Failed(message) from error


def found(function: str) -> Callable[..., Mapping[str, float]]:
    """Return the function of that name.

    >>> found("infra.bench.bar:number")(1234.5)
    '1,234'
    """
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


if __name__ == "__main__":
    figures = found(sys.argv[1])(*sys.argv[2:])
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
