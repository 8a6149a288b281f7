"""The jars of Apache Kafka, from Maven Central, kept per user and checked against known hashes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.broker_hashes import SHA256
from stream.errors import Halt

KAFKA_VERSION = "4.3.1"

_KAFKA = ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION)

_LOGGING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")
"""Kafka's own jars bring the log's writer but not the bridge to it; without it they are silent."""

_DOWNLOADS = 8
"""Jars fetched at once: one after the other takes four times as long, more are no quicker."""


def kafka_jars(cache: Path | None = None) -> list[Path]:
    """The class path of the broker; the network is needed only the first time.

    Parameters
    ----------
    cache
        Where they are kept: `$XDG_CACHE_HOME/tidemill`, or `~/.cache/tidemill`, unless given.

    Raises
    ------
    Halt
        If they can't be fetched or written, or aren't the files they should be.
    """
    home = (cache or user_cache()) / f"kafka-{KAFKA_VERSION}"
    if not _complete(home):
        _fetch(home)
    return [home / name for name in SHA256]


def user_cache() -> Path:
    """Tidemill's folder in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tidemill"


def _complete(home: Path) -> bool:
    return all((home / name).is_file() for name in SHA256)


def _fetch(home: Path) -> None:
    """Fill `home` in one step: whoever sees the folder sees it whole."""
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=f"{home.name}.part-") as part:
            whole = Path(part, "whole")
            whole.mkdir()
            for jar in _resolve(Path(part, "repository")):
                wanted, got = SHA256.get(jar.name), hashlib.sha256(jar.read_bytes()).hexdigest()
                if wanted is None or wanted != got:
                    msg = (
                        f"{jar.name} from Maven Central is not the file that Tidemill was made "
                        f"with: wanted sha256 {wanted}, got {got}; a proxy may have changed it"
                    )
                    raise Halt(msg)
                shutil.move(jar, whole / jar.name)
            if not _complete(home):  # another process may have been quicker
                shutil.rmtree(home, ignore_errors=True)
                whole.rename(home)
    except OSError as error:
        # requests' exceptions are OSErrors too: the address that failed is in their text.
        if _complete(home):
            return
        msg = (
            f"can't fetch Apache Kafka {KAFKA_VERSION} (44 MB, from Maven Central, once) into "
            f"{home}: {error}. Connect to the network for the first start, or use a running "
            "broker with --bootstrap-servers HOST:PORT"
        )
        raise Halt(msg) from error


def _resolve(repository: Path) -> list[Path]:
    """Let jgo walk the dependencies and download them."""
    from jgo.maven import (  # noqa: PLC0415 - half a second, and only needed once
        Dependency,
        MavenContext,
        PythonResolver,
    )

    context = MavenContext(repo_cache=repository, resolver=PythonResolver())

    def artifact(group: str, name: str, version: str) -> object:
        return context.project(group, name).at_version(version).artifact()

    try:
        inputs, further = context.resolver.resolve([Dependency(artifact(*_KAFKA))])
        # The bridge goes in without its dependencies, whose versions would override Kafka's.
        artifacts = [*(d.artifact for d in [*inputs, *further]), artifact(*_LOGGING)]
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            return list(pool.map(lambda found: Path(found.resolve()), artifacts))
    except RuntimeError as error:  # jgo's word for an artifact that no repository gave
        raise OSError(str(error)) from error
