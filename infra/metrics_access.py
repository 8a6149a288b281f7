"""Who may read a process's metrics: a name and password, TLS, and how the supervisor reads them.

The password stands in the environment only, and is compared in constant time. The supervisor knows
its roles' certificate, and talks to nobody else: neither a name nor a date has to fit.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import os
import re
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.config import MetricsConfig
from stream.errors import SettingsError
from stream.login import Secret

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL | re.ASCII
)


def guarded(app: WsgiApp, config: MetricsConfig) -> WsgiApp:
    """The app behind `metrics.username` and its password, if there is one.

    Raises
    ------
    SettingsError
        If there is a name, and no password in the environment.
    """
    if not config.username:
        return app
    wanted = _digest(_login(config).encode())

    def ask(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if hmac.compare_digest(_digest(_given(environ.get("HTTP_AUTHORIZATION", ""))), wanted):
            return app(environ, start_response)
        start_response(
            "401 Unauthorized",
            [("WWW-Authenticate", 'Basic realm="metrics"'), ("Content-Type", "text/plain")],
        )
        return [b"these metrics need the name and the password of metrics.username\n"]

    return ask


def server_context(config: MetricsConfig) -> ssl.SSLContext | None:
    """What the listener encrypts with: TLS 1.2 or newer; `None` without a certificate.

    Raises
    ------
    SettingsError
        If the certificate or its key can't be used.
    """
    if not config.tls_certificate_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # An empty password, because OpenSSL would ask on the terminal for one that is missing.
    password = os.environ.get(config.tls_key_password_env, "")
    try:
        context.load_cert_chain(
            config.tls_certificate_file, config.tls_key_file or None, password=password
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsError(_unusable(config, error)) from None
    return context


def read_page(url: str, config: MetricsConfig, timeout_s: float) -> bytes:
    """Fetch a page of our own metrics, straight: a proxy is for others, a redirect is an error.

    Raises
    ------
    OSError
        If nobody answers, or somebody else does.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = _Known(host, port, config=config, timeout=timeout_s)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    headers = {}
    if config.username:
        headers["Authorization"] = f"Basic {base64.b64encode(_login(config).encode()).decode()}"
    try:
        connection.request("GET", parts.path, headers=headers)
        answer = connection.getresponse()
        page = answer.read()
    except http.client.HTTPException as error:
        msg = f"{url} does not speak HTTP: {type(error).__name__}"
        raise OSError(msg) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        msg = f"{url} answers {answer.status} {answer.reason}"
        raise OSError(msg)
    return page


class _Known(http.client.HTTPSConnection):
    """A connection that says nothing before the other side has shown our own certificate."""

    def __init__(self, host: str, port: int | None, *, config: MetricsConfig, timeout: float):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Compared whole below, which is more than a signature says.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._wanted = _certificate(config)
        super().__init__(host, port, timeout=timeout, context=context)

    def connect(self) -> None:
        """Connect, and leave again if it is somebody else."""
        super().connect()
        if self.sock.getpeercert(binary_form=True) != self._wanted:
            self.close()
            msg = f"{self.host}:{self.port} shows another certificate than ours"
            raise ConnectionError(msg)


def _certificate(config: MetricsConfig) -> bytes:
    text = Path(config.tls_certificate_file).read_text("ascii", "replace")
    found = _CERTIFICATE.search(text)  # a server's own one comes before those that signed it
    if found is None:
        msg = f"{config.tls_certificate_file} holds no certificate"
        raise OSError(msg)
    return ssl.PEM_cert_to_DER_cert(found.group())


def _login(config: MetricsConfig) -> Secret:
    password = os.environ.get(config.password_env, "")
    if not password:
        msg = (
            f"metrics.username is {config.username}, and the environment variable "
            f"{config.password_env} (metrics.password_env) holds no password: export it"
        )
        raise SettingsError(msg)
    return Secret(f"{config.username}:{password}")


def _given(header: str) -> bytes:
    scheme, _, encoded = header.partition(" ")
    try:
        return base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""


def _digest(text: bytes) -> bytes:
    """Of one length whatever the text: a comparison tells nothing about it."""
    return hashlib.sha256(text).digest()


def _unusable(config: MetricsConfig, error: Exception) -> str:
    # A decoder's own message would show a part of the file.
    reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
    return (
        f"metrics.tls_certificate_file {config.tls_certificate_file!r} can't be used ({reason}): "
        "are it and its key (metrics.tls_key_file, or in the same file) there, in PEM form and "
        "readable by this user? A key with a password needs it in the variable of "
        "metrics.tls_key_password_env"
    )
