"""What a profile adds to search: purchases after queries of their title's words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.bench.bar import Bar


def personal(folder: Path | None, events: int, kept: Path | None) -> Iterator[Bar]:
    yield from ()
