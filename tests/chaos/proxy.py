"""A small TCP proxy on loopback: between clients and a broker, it delays, holds and cuts.

One thread with its own event loop serves all brokers. A held network passes nothing, and closes
nothing: what was sent arrives once it is let go, as packets do that are sent again. A cut one
resets every connection and takes no new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Literal

HOST = "127.0.0.1"
CHUNK = 64 * 1024

State = Literal["open", "held", "cut"]


class Proxy:
    """Listens on one port per target; `state` and `delay_s` hold for all of them.

    Parameters
    ----------
    targets
        The ports on this machine that connections go to.
    """

    def __init__(self, targets: list[int]) -> None:
        self._targets = targets
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._state: State = "open"
        self._delay_s = 0.0
        self.ports: list[int] = []

    def start(self) -> list[int]:
        """Listen; returns the ports, in the order of the targets."""
        self._thread.start()
        self.ports = self._call(self._listen())
        return self.ports

    def close(self) -> None:
        """Drop every connection and stop listening."""
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, state: State, delay_s: float = 0.0) -> None:
        """Change the network, for connections that are there and those to come."""
        self._call(self._set(state, delay_s))

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> list[int]:
        self._open.set()
        ports = []
        for target in self._targets:
            server = await asyncio.start_server(self._taker(target), HOST, 0)
            self._servers.append(server)
            ports.append(int(server.sockets[0].getsockname()[1]))
        return ports

    async def _set(self, state: State, delay_s: float) -> None:
        self._state, self._delay_s = state, delay_s
        if state == "held":
            self._open.clear()
            return
        self._open.set()
        if state == "cut":
            for writer in list(self._writers):
                writer.transport.abort()

    def _taker(self, target: int) -> Any:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._state == "cut":
                writer.transport.abort()
                return
            try:
                there = await asyncio.open_connection(HOST, target)
            except OSError:
                writer.transport.abort()
                return
            self._writers |= {writer, there[1]}
            ways = [
                asyncio.create_task(self._pump(reader, there[1])),
                asyncio.create_task(self._pump(there[0], writer)),
            ]
            self._tasks.update(ways)
            await asyncio.wait(ways)
            self._tasks.difference_update(ways)
            for end in (writer, there[1]):
                self._writers.discard(end)
                end.transport.abort()

        return take

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._open.wait()
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    async def _shut(self) -> None:
        self._open.set()
        for server in self._servers:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
