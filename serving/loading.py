"""What takes seconds to load and can be done without for so long: a thread loads it when asked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Loading(Generic[_T]):
    """Something that a thread loads, once, when it is first asked for.

    Parameters
    ----------
    make
        Loads it. What it raises is logged, and it isn't called again.
    what
        Its name in the log.
    """

    def __init__(self, make: Callable[[], _T], what: str) -> None:
        self._make = make
        self._what = what
        self._made: _T | None = None
        self._thread: threading.Thread | None = None

    def get(self) -> _T | None:
        """It; `None` until it is there, and where it can't be loaded."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._load, name=self._what, daemon=True)
            self._thread.start()
        return self._made

    def _load(self) -> None:
        try:
            self._made = self._make()
        except Exception as error:  # noqa: BLE001 - who asks goes on without it
            _log.warning("%s can't be loaded, words alone decide: %s", self._what, error)
