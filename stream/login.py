"""TLS and login, for each client library: kafka-python, aiokafka, and Faust's.

A secret is read from the environment (or a token from its file) when a client is made, and goes
nowhere else: not into the settings, and as a `Secret` not into a log line that shows a client's
arguments.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.errors import Halt, SettingsError

if TYPE_CHECKING:
    from stream.connect import KafkaConfig


class Secret(str):
    """A text that doesn't show itself where its container is shown.

    >>> {"sasl_plain_password": Secret("hunter2")}
    {'sasl_plain_password': '•••'}
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'•••'"


def client_settings(kafka: KafkaConfig) -> dict[str, Any]:
    """Keyword arguments of kafka-python's clients.

    >>> from stream.connect import KafkaConfig
    >>> client_settings(KafkaConfig())
    {'bootstrap_servers': ['localhost:9092'], 'security_protocol': 'PLAINTEXT'}

    Raises
    ------
    SettingsError
        If a secret isn't in the environment, or a file can't be used.
    """
    settings = _common(kafka)
    if kafka.sasl_mechanism == "OAUTHBEARER":
        from kafka.net.sasl.oauth import AbstractTokenProvider  # noqa: PLC0415

        class FromFile(AbstractTokenProvider):
            def token(self) -> str:
                return read_token(kafka)

        settings["sasl_oauth_token_provider"] = FromFile()
    return settings


def async_client_settings(kafka: KafkaConfig) -> dict[str, Any]:
    """Keyword arguments of aiokafka's clients; raises as `client_settings` does."""
    settings = _common(kafka)
    if kafka.sasl_mechanism == "OAUTHBEARER":
        settings["sasl_oauth_token_provider"] = _async_tokens(kafka)
    return settings


def faust_settings(kafka: KafkaConfig) -> dict[str, Any]:
    """What a Faust app takes: its consumer, its producer and its topics' admin use it all."""
    from faust import auth  # noqa: PLC0415 - only a Faust app has it loaded

    context = tls_context(kafka) if kafka.tls else None
    if kafka.sasl_mechanism == "OAUTHBEARER":
        oauth = auth.OAuthCredentials(oauth_cb=_async_tokens(kafka), ssl_context=context)
        return {"broker_credentials": oauth}
    if kafka.sasl_mechanism:
        login = auth.SASLCredentials(
            username=kafka.sasl_username,
            password=_password(kafka),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
        return {"broker_credentials": login}
    return {"broker_credentials": auth.SSLCredentials(context)} if context else {}


def tls_context(kafka: KafkaConfig) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's certificate and name checked, with our own certificate."""
    with _naming("tls_ca_file", kafka.tls_ca_file):
        context = ssl.create_default_context(cafile=kafka.tls_ca_file or None)
    # What a Python takes by itself depends on how its OpenSSL was built.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if kafka.tls_certificate_file:
        # An empty password, because OpenSSL would ask on the terminal for one that is missing.
        password = os.environ.get(kafka.tls_key_password_env, "")
        for field in ("tls_certificate_file", "tls_key_file"):
            with _naming(field, getattr(kafka, field)):
                if path := getattr(kafka, field):
                    Path(path).read_bytes()
        with _naming("tls_certificate_file", kafka.tls_certificate_file):
            context.load_cert_chain(
                kafka.tls_certificate_file, kafka.tls_key_file or None, password=password
            )
    return context


def read_token(kafka: KafkaConfig) -> Secret:
    """The token as it is in its file now: who issues it also renews it there."""
    with _naming("sasl_token_file", kafka.sasl_token_file):
        token = Path(kafka.sasl_token_file).read_text(encoding="utf-8").strip()
    if not token:
        msg = f"kafka.sasl_token_file {kafka.sasl_token_file} is empty: put a valid token there"
        raise Halt(msg)
    return Secret(token)


def _common(kafka: KafkaConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "bootstrap_servers": kafka.servers,
        "security_protocol": kafka.protocol,
    }
    if kafka.tls:
        settings["ssl_context"] = tls_context(kafka)
    if kafka.sasl_mechanism:
        settings["sasl_mechanism"] = kafka.sasl_mechanism
    if kafka.sasl_mechanism not in ("", "OAUTHBEARER"):
        settings["sasl_plain_username"] = kafka.sasl_username
        settings["sasl_plain_password"] = _password(kafka)
    return settings


def _password(kafka: KafkaConfig) -> Secret:
    password = os.environ.get(kafka.sasl_password_env, "")
    if not password:
        msg = (
            f"kafka.sasl_mechanism is {kafka.sasl_mechanism}, and the environment variable "
            f"{kafka.sasl_password_env} (kafka.sasl_password_env) holds no password: export it"
        )
        raise SettingsError(msg)
    return Secret(password)


def _async_tokens(kafka: KafkaConfig) -> Any:
    from aiokafka.abc import AbstractTokenProvider  # noqa: PLC0415

    class FromFile(AbstractTokenProvider):
        async def token(self) -> str:
            return await asyncio.to_thread(read_token, kafka)

    return FromFile()


@contextlib.contextmanager
def _naming(field: str, path: str) -> Iterator[None]:
    """Turn what goes wrong with a file into an error that names its setting."""
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        # A decoder's own message would show a part of the file.
        reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        msg = f"kafka.{field} {path!r} can't be used ({reason}): {_REMEDIES[field]}"
        raise SettingsError(msg) from None


_PEM = "is it there, in PEM form, and readable by this user?"

_REMEDIES = {
    "tls_ca_file": _PEM,
    "tls_key_file": _PEM,
    "tls_certificate_file": f"{_PEM} The key must belong to it, and a key with a password needs it "
    "in the variable of kafka.tls_key_password_env",
    "sasl_token_file": "is it there, as text, and readable by this user?",
}
