"""A Redis of its own: killed, and started again with what it had on the disk, or with nothing."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import redis

from infra.tether import tethered
from tests.chaos.proxy import HOST

START_TIMEOUT_S = 20.0


class RedisServer:
    """One Redis on one folder, tied to the thread that starts it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is not installed: apt-get install redis-server"
        command = [program, "--port", str(self.port), "--bind", HOST, "--dir", str(self._folder)]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                tethered(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert time.monotonic() < deadline_s, f"Redis did not start; see {self._folder}"
            time.sleep(0.05)

    def kill(self, *, wipe: bool = False) -> None:
        """Kill -9; with `wipe`, what it had on the disk is gone as well."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if wipe:
            shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        try:
            with redis.Redis(HOST, self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False
