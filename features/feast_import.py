"""Importing Feast in a quarter of its usual time.

`import feast` takes 12 to 15 s on a small machine, of which 9 s go into two things that an online
store has no use for: typeguard rewrites every function of nine modules so that it checks its
arguments (5 s), and PyTorch is loaded in case that somebody wants features as tensors (4 s).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typeguard


@contextmanager
def light_imports() -> Iterator[None]:
    """Import Feast inside this block for the first time, and it comes without the two.

    typeguard's decorator returns functions as they are, as it does by itself under `python -O`,
    and `import torch` fails as if it weren't installed, which Feast provides for. Both are as
    before after the block; a PyTorch that is already loaded stays.
    """
    real, typeguard.typechecked = typeguard.typechecked, _unchecked
    without_torch = "torch" not in sys.modules
    if without_torch:
        sys.modules["torch"] = None  # type: ignore[assignment]  # the import system's own "no"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        typeguard.typechecked = real
        if without_torch:
            del sys.modules["torch"]


def _unchecked(target: Any = None, **_: object) -> Any:
    """Typeguard's decorator, with arguments or without, where checks are off."""

    def same(function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    return same if target is None else target
