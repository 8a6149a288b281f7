"""Feast's file registry, written so that nobody ever reads half of it.

Feast truncates the file and writes it in place: a process that starts meanwhile reads a torn one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from features.feast_import import light_imports

with light_imports():
    from feast.infra.registry.file import FileRegistryStore
    from feast.protos.feast.core.Registry_pb2 import Registry
    from feast.repo_config import RegistryConfig


class AtomicFileRegistryStore(FileRegistryStore):
    """A registry in a file that is replaced as a whole and only its owner can read."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        super().__init__(registry_config, repo_path)
        self._path = Path(repo_path, registry_config.path)

    def update_registry_proto(self, registry_proto: Registry) -> None:
        """Write the registry beside the old one, make it durable, and put it in its place."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        registry_proto.last_updated.GetCurrentTime()
        replace_file(self._path, registry_proto.SerializeToString())


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new, never a mixture."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
