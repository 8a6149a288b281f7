"""Hot swap: a newer model version takes over between two batches, while requests flow.

1. Every record of `adapters` is heard. The newest announcement that is live is wanted.
2. A thread reads and checks the wanted version's files; answering goes on meanwhile.
3. Between two batches, `step` binds what was loaded to the catalogue and hands it over.

A version that is rolled back gives way to the newest one still live, at last to the untrained
prior. A file that is missing, cut short, changed or foreign is refused: named in the log, counted,
never tried again until it is announced anew; and the version in use goes on. A crash between any
two steps loses nothing: all of it starts again from the topic.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Literal, NamedTuple

import msgspec

from features.catalog import Catalog
from serving.ranker import Models, Ranker
from stream.batching import Record
from stream.events import AdapterVersion, decode_adapter

_log = logging.getLogger(__name__)

_REMEMBERED = 64
"""Live announcements kept as places to roll back to. A learner keeps fewer files than that."""


class Swap(NamedTuple):
    """What became of a version: who takes over, or why nobody does."""

    outcome: Literal["loaded", "refused", "withdrawn"]
    announced: AdapterVersion
    ranker: Ranker | None = None


class _Loaded(NamedTuple):
    announced: AdapterVersion
    result: Any
    error: Exception | None


class AdapterSwap:
    """Follows the announced versions and keeps the newest good one in use.

    Parameters
    ----------
    models
        Loads and binds versions.
    catalog
        What rankers are bound to.
    model
        The key to follow; "" follows all.
    """

    def __init__(self, models: Models, catalog: Catalog, model: str = "") -> None:
        self._models = models
        self._catalog = catalog
        self._model = model
        self._live: dict[tuple[str, int], AdapterVersion] = {}
        self._refused: set[tuple[str, int, str]] = set()
        self._current: AdapterVersion | None = None
        self._thread: threading.Thread | None = None
        self._loaded: _Loaded | None = None

    @property
    def current(self) -> AdapterVersion | None:
        """The announcement of the version in use; `None` for the untrained prior."""
        return self._current

    def hear(self, record: Record) -> None:
        """Take note of one record of `adapters`; a null value withdraws the key's versions."""
        if record.value is None:
            name = (record.key or b"").decode("utf-8", "replace")
            self._live = {place: said for place, said in self._live.items() if place[0] != name}
            return
        try:
            announced = decode_adapter(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("adapters@%d is not a version: %s; skipped", record.offset, error)
            return
        if self._model and announced.model != self._model:
            return
        place = _place(announced)
        self._live.pop(place, None)
        if announced.status == "live":
            self._live[place] = announced
            self._refused.discard(_file_of(announced))
            if len(self._live) > _REMEMBERED:
                self._live.pop(next(iter(self._live)))

    def step(self) -> Swap | None:
        """Move one step on: start a load, or say what became of one.

        Never blocks on a file. Call it between two batches, and use the ranker that it hands over.
        """
        taken = self._take()
        wanted = self._wanted()
        current = self._current
        if current is not None and wanted is None and _place(current) not in self._live:
            _log.warning(
                "model version %d is rolled back and no other is live: the untrained prior answers",
                current.version,
            )
            self._current = None
            return Swap("withdrawn", current, self._models.untrained(self._catalog))
        if self._thread is None and wanted is not None and wanted != self._current:
            self._thread = threading.Thread(
                target=self._load, args=(wanted,), name=f"load-v{wanted.version}", daemon=True
            )
            self._thread.start()
        return taken

    def settle(self, timeout_s: float) -> None:
        """Wait for a load in flight, such as the first one at start."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _wanted(self) -> AdapterVersion | None:
        """The newest live announcement whose file was not refused."""
        for announced in reversed(self._live.values()):
            if _file_of(announced) not in self._refused:
                return announced
        return None

    def _load(self, announced: AdapterVersion) -> None:
        try:
            self._loaded = _Loaded(announced, self._models.load(announced), None)
        except Exception as error:  # noqa: BLE001  whatever a file holds, the live version goes on
            self._loaded = _Loaded(announced, None, error)

    def _take(self) -> Swap | None:
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        loaded, self._loaded = self._loaded, None
        assert loaded is not None, "a load always ends in a result or an error"
        if loaded.error is not None:
            return self._refuse(loaded.announced, loaded.error)
        if self._live.get(_place(loaded.announced)) != loaded.announced:
            return None  # rolled back while it was loading
        try:
            ranker = self._models.bind(loaded.announced, loaded.result, self._catalog)
        except Exception as error:  # noqa: BLE001  see `_load`
            return self._refuse(loaded.announced, error)
        before = self._current.version if self._current else None
        self._current = loaded.announced
        _log.info(
            "model version %d takes over from %s (learnt %d examples)",
            loaded.announced.version,
            "the untrained prior" if before is None else f"version {before}",
            loaded.announced.learnt,
        )
        return Swap("loaded", loaded.announced, ranker)

    def _refuse(self, announced: AdapterVersion, error: Exception) -> Swap:
        self._refused.add(_file_of(announced))
        _log.error(
            "model version %d refused: %s: %s (file %s); %s goes on. Is the file shared with this "
            "process, and written by its learner?",
            announced.version,
            type(error).__name__,
            error,
            announced.path,
            f"version {self._current.version}" if self._current else "the untrained prior",
        )
        return Swap("refused", announced)


def _place(announced: AdapterVersion) -> tuple[str, int]:
    return (announced.model, announced.version)


def _file_of(announced: AdapterVersion) -> tuple[str, int, str]:
    return (announced.model, announced.version, announced.sha256)
