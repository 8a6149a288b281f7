"""What a broker refuses for good: a wrong password, a missing right, a certificate nobody trusts.

Trying again would change nothing, and lock accounts: a refusal stops the process, where an absent
broker is waited for.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator

from stream.connect import KafkaConfig
from stream.errors import Halt, SettingsError
from stream.login import client_settings, tls_context

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

    Faust's and aiokafka's clients keep a refusal to themselves and try for ever.

    Raises
    ------
    Halt
        If the broker's certificate, our certificate or our login is not accepted.
    """
    if kafka.protocol == "PLAINTEXT":
        return
    deadline_s = time.monotonic() + timeout_s
    settings = client_settings(kafka)
    if not any(_greets(kafka, server, timeout_s) for server in kafka.servers):
        return
    if not kafka.sasl_mechanism:
        return
    from kafka import KafkaAdminClient  # noqa: PLC0415 - only where there is a login
    from kafka.errors import KafkaError  # noqa: PLC0415

    left_ms = max(1_000, round((deadline_s - time.monotonic()) * 1000))
    try:
        KafkaAdminClient(**settings, bootstrap_timeout_ms=left_ms).close()
    except (KafkaError, OSError) as error:
        if refused := refusal(error, kafka):
            raise refused from None


def _greets(kafka: KafkaConfig, server: str, timeout_s: float) -> bool:
    """Whether somebody is there; raises where the encrypted greeting fails for good."""
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    with contextlib.suppress(TimeoutError, ConnectionError, ValueError, socket.gaierror):
        with socket.create_connection((host, int(port)), timeout_s) as plain:
            if not kafka.tls:
                return True
            try:
                with tls_context(kafka).wrap_socket(plain, server_hostname=host):
                    return True
            except ssl.SSLError as error:
                msg = f"Kafka at {server}: {_tls_words(error)}"
                raise Halt(msg) from None
    return False


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
