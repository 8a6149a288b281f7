"""The roles as processes under a supervisor, on a broker of their own that can be taken away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.broker import EmbeddedKafka
from infra.settings import Settings
from infra.supervise import Supervisor


class OwnStack:
    """Broker and roles in one folder; a context manager.

    Attributes
    ----------
    said
        What the supervisor said, line by line.
    """

    def __init__(
        self, folder: Path, settings: Settings, *, broker_settings: Mapping[str, str] | None = None
    ) -> None:
        self.broker = EmbeddedKafka(folder / "broker", settings=broker_settings)
        values = {
            "run.data_dir": str(folder / "data"),
            "kafka.bootstrap_servers": self.broker.start(),
        }
        self.said: list[str] = []
        self.supervisor = Supervisor(
            settings.with_values(values, "the bench"), embedded=False, say=self.said.append
        )

    def __enter__(self) -> Self:
        try:
            self.supervisor.start()
        except BaseException:
            self.broker.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.supervisor.stop()
        self.broker.stop()
