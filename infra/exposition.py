"""The metrics of a process over HTTP for Prometheus, and the file that says where they are."""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from prometheus_client import ProcessCollector, make_wsgi_app

from infra.config import MetricsConfig, RunConfig
from infra.data_dir import private_file, private_folder
from infra.metrics_access import guarded, server_context
from infra.metrics_server import MetricsServer
from infra.roles import role_file
from infra.settings import DEFAULT, Settings
from stream.errors import Halt
from stream.metrics import REGISTRY

_log = logging.getLogger(__name__)

HIDDEN = -1
"""The port that means: show no metrics."""


class RoleFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a running process writes down about itself, for the supervisor and for people."""

    role: str
    pid: int
    port: int
    url: str
    started_ms: int


class Exposition:
    """Serves `stream.metrics.REGISTRY`, and the process's memory and CPU, until it is closed.

    Parameters
    ----------
    role
        Whose metrics they are: the name of the port's setting and of the file.
    settings
        Host and port. A port that is taken stops the process if somebody chose it; otherwise a
        free one is used, and said.

    Raises
    ------
    Halt
        If the chosen port is taken, or the host is not an address of this machine.
    SettingsError
        If the login's password is missing, or the certificate can't be used.
    """

    def __init__(self, role: str, settings: Settings) -> None:
        config = settings.section(MetricsConfig)
        key = f"metrics.{role.replace('-', '_')}"
        port: int = getattr(config, role.replace("-", "_"))
        self._file = role_file(Path(settings.section(RunConfig).data_dir), role)
        self._server: MetricsServer | None = None
        self._collector: ProcessCollector | None = None
        self.port = 0
        if port != HIDDEN:
            self._serve(config, port, key, chosen=settings.origin(key) != DEFAULT)
        host = f"[{config.host}]" if ":" in config.host else config.host
        scheme = "https" if config.tls_certificate_file else "http"
        self.url = f"{scheme}://{host}:{self.port}/metrics" if self.port else ""
        self._write(role)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving, and remove the file if it is still this process's."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._collector is not None:
            REGISTRY.unregister(self._collector)
            self._collector = None
        known = read_role_file(self._file)
        if known is not None and known.pid == os.getpid():
            self._file.unlink(missing_ok=True)

    def _serve(self, config: MetricsConfig, port: int, key: str, *, chosen: bool) -> None:
        host, context = config.host, server_context(config)
        app = guarded(make_wsgi_app(REGISTRY), config)
        try:
            self._server = MetricsServer(app, host, port, context)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or chosen:
                msg = (
                    f"metrics can't be shown on {host}:{port}: {error.strerror}; set {key} to "
                    "another port (0 takes any free one, -1 shows none), or metrics.host"
                )
                raise Halt(msg) from error
            self._server = MetricsServer(app, host, 0, context)
            _log.warning(
                "port %d is taken, metrics are on %d: set %s", port, self._server.server_port, key
            )
        self.port = int(self._server.server_port)
        self._collector = ProcessCollector(registry=REGISTRY)

    def _write(self, role: str) -> None:
        said = RoleFile(
            role=role,
            pid=os.getpid(),
            port=self.port,
            url=self.url,
            started_ms=time.time_ns() // 1_000_000,
        )
        try:
            private_folder(self._file.parent)
            part = self._file.with_suffix(f".{said.pid}.part")
            with private_file(part, "w") as file:
                file.write(json.dumps(msgspec.to_builtins(said)))
            part.replace(self._file)  # whoever reads it sees all of it
        except OSError as error:
            msg = f"can't write {self._file}: {error}; choose another run.data_dir"
            raise Halt(msg) from error


def read_role_file(path: Path) -> RoleFile | None:
    """What a role wrote down, `None` if there is nothing that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RoleFile)
    except (OSError, msgspec.DecodeError):
        return None
