"""Importing Feast in a small part of its usual time.

As it comes it loads what an online store has no use for:

- typeguard rewrites every function of nine modules to check its arguments, the larger half;
- PyTorch, in case that somebody wants features as tensors;
- its web servers and what they are built of, its registry in an SQL database.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typeguard

from stream.stand_ins import deferred, slim, stand_ins


@contextmanager
def light_imports() -> Iterator[None]:
    """Import Feast inside this block for the first time, and it comes without all that.

    typeguard's decorator returns functions as they are, as it does by itself under `python -O`,
    and `import torch` fails as if it weren't installed, which Feast provides for. Servers are
    loaded at their first use. All is as before after the block; what is already loaded stays.
    """
    real, typeguard.typechecked = typeguard.typechecked, _unchecked
    try:
        with stand_ins(absent=("torch",)), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            if "feast" not in sys.modules:
                _import_feast()
            yield
    finally:
        typeguard.typechecked = real


def _import_feast() -> None:
    # Two things of FastAPI are asked for, which are Starlette's.
    from starlette import concurrency, status  # noqa: PLC0415

    with stand_ins(
        slim("fastapi", status=status),
        slim("fastapi.concurrency", run_in_threadpool=concurrency.run_in_threadpool),
        deferred("feast.feature_server"),
        deferred("feast.ui_server"),
        slim("feast.infra.registry.sql", SqlRegistry=_sql_registry),
    ):
        import feast  # noqa: F401, PLC0415


def _sql_registry(*arguments: Any) -> Any:
    from feast.infra.registry.sql import SqlRegistry  # noqa: PLC0415

    return SqlRegistry(*arguments)


def _unchecked(target: Any = None, **_: object) -> Any:
    """Typeguard's decorator, with arguments or without, where checks are off."""

    def same(function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    return same if target is None else target
