"""What a broker refuses for good: a wrong password, a missing right, a certificate nobody trusts.

Trying again would change nothing, and lock accounts: a refusal stops the process, where an absent
broker is waited for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError

from stream.connect import KafkaConfig
from stream.errors import Halt, SettingsError
from stream.login import async_client_settings

CONNECT_TIMEOUT_S = 5.0
"""How long to wait for a broker's word; who is slower is not asked now."""

_LOGIN = ("SaslAuthenticationFailed", "AuthenticationFailed", "IllegalSaslState")
_MECHANISM = ("UnsupportedSaslMechanism",)
_RIGHTS = {
    "TopicAuthorizationFailed": "a topic",
    "GroupAuthorizationFailed": "a consumer group",
    "ClusterAuthorizationFailed": "the cluster",
    "TransactionalIdAuthorizationFailed": "a transactional id",
}


def refusal(error: BaseException, kafka: KafkaConfig) -> Halt | None:
    """Say in words what a client's error means, if it means that the broker refuses us.

    >>> from aiokafka.errors import GroupAuthorizationFailedError, NodeNotReadyError
    >>> print(refusal(GroupAuthorizationFailedError("shop.learner"), KafkaConfig()))
    Kafka at localhost:9092 does not let this client use a consumer group \
(GroupAuthorizationFailedError: shop.learner): allow it by an ACL, see SECURITY.md
    >>> refusal(NodeNotReadyError(), KafkaConfig()) is None
    True
    """
    where = f"Kafka at {kafka.bootstrap_servers}"
    who = f"user {kafka.sasl_username!r}" if kafka.sasl_username else "this client"
    for link in _chain(error):
        if isinstance(link, ssl.SSLError):
            return Halt(f"{where}: {_tls_words(link)}")
        # Both libraries have these classes, under the same names but for an ending.
        name = type(link).__name__.removesuffix("Error")
        if name in _LOGIN:
            return Halt(
                f"{where} refuses the login of {who} by {kafka.sasl_mechanism or 'nothing'}: "
                f"check kafka.sasl_username and {_secret(kafka)}, and that the user exists there"
            )
        if name in _MECHANISM:
            return Halt(
                f"{where} does not offer kafka.sasl_mechanism {kafka.sasl_mechanism}: choose one "
                "that its listener offers"
            )
        if name in _RIGHTS:
            found = ", ".join(str(part) for part in link.args if part) or "not named"
            return Halt(
                f"{where} does not let {who} use {_RIGHTS[name]} ({type(link).__name__}: {found}): "
                "allow it by an ACL, see SECURITY.md"
            )
    return None


def check_access(kafka: KafkaConfig, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
    """Log in once, and raise if that is refused; a broker that is away is no refusal.

    The libraries' clients keep a refusal to themselves, and try again and again. Not to be called
    where an event loop runs: `asyncio.to_thread` is the way.

    Raises
    ------
    Halt
        If the broker's certificate, our certificate or our login is not accepted.
    """
    if kafka.protocol == "PLAINTEXT":
        return
    settings = async_client_settings(kafka)
    settings.pop("bootstrap_servers")
    for server in kafka.servers:
        try:
            asyncio.run(_log_in(server, settings, timeout_s))
        except (KafkaError, TimeoutError, OSError, ValueError) as error:
            if refused := refusal(error, kafka):
                raise refused from None
        else:
            return


class _Briefly(AIOKafkaConnection):
    """A connection that doesn't wait for the other side's goodbye, which our loop would not see."""

    def close(self, reason: Any = None, exc: Any = None) -> Any:
        """Cut the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
        return super().close(reason, exc)


async def _log_in(server: str, settings: Mapping[str, Any], timeout_s: float) -> None:
    host, _, port = server.rpartition(":")
    async with asyncio.timeout(timeout_s):
        connection = _Briefly(host.strip("[]"), int(port), **settings)
        try:
            await connection.connect()
        finally:
            connection.close()
            await asyncio.sleep(0)  # The loop's turn in which the socket is closed.


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not accepted ({error.verify_message}): set kafka.tls_ca_file to "
            "the authority that signed it, and use a host name that stands in it"
        )
    return (
        f"no encrypted connection ({error.reason or type(error).__name__}): is that port a TLS "
        "listener, and does it ask for kafka.tls_certificate_file?"
    )


def _secret(kafka: KafkaConfig) -> str:
    if kafka.sasl_mechanism == "OAUTHBEARER":
        return f"the token in {kafka.sasl_token_file}"
    return f"the password in the environment variable {kafka.sasl_password_env}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None and not isinstance(link, SettingsError):
        yield link
        link = link.__cause__
