"""The HTTP server behind the metrics: a few connections at a time, none of which blocks another."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from infra.metrics_access import WsgiApp

_log = logging.getLogger(__name__)

CONNECTIONS = 16
"""Of Prometheus, people and the supervisor; whoever comes beyond that is hung up on."""

PATIENCE_S = 10.0
"""A connection that says nothing for this long is closed: a handshake, a request."""


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Serves an app on a port, in threads of its own, until it is closed.

    Parameters
    ----------
    app
        What answers.
    host, port
        Where to listen; port 0 takes a free one, `server_port` says which.
    context
        Encrypts, if there is one. The handshake is done in the connection's thread: one who
        connects and says nothing keeps nobody else waiting.

    Raises
    ------
    OSError
        If the port is taken, or the host is not an address of this machine.
    """

    daemon_threads = True

    def __init__(
        self, app: WsgiApp, host: str, port: int, context: ssl.SSLContext | None = None
    ) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self.address_family, address = found[0][0], found[0][4]
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__((str(address[0]), port), _Quiet)
        self.set_app(app)
        if context is not None:
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and end the thread."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if one is left."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say little: whoever can connect can cause it."""
        _log.debug("a connection to the metrics failed", exc_info=True)


class _Quiet(WSGIRequestHandler):
    timeout = PATIENCE_S

    def address_string(self) -> str:
        """The address as it is: its name would have to be asked for."""
        return str(self.client_address[0])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Log nothing."""
