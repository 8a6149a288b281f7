"""How every client reaches Kafka: one struct, checked when it is made.

`stream.login` turns it into what each client library takes. Secrets are not in here: the fields
that end in `_env` name the environment variables that hold them.

>>> KafkaConfig(bootstrap_servers="broker.shop:9092")
Traceback (most recent call last):
...
stream.errors.SettingsError: kafka.bootstrap_servers is broker.shop:9092, which is not this \
machine, and kafka.tls is false: records would cross the network unencrypted; set kafka.tls = \
true, or kafka.allow_plaintext = true if that network is yours alone
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from stream.errors import SettingsError

_Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


class KafkaConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is, how to log in, and what topics are called and cut into."""

    bootstrap_servers: Annotated[
        str, Meta(description="host:port of one or more brokers, comma separated")
    ] = "localhost:9092"
    topic_prefix: Annotated[str, Meta(description="put before every topic's name")] = "tidemill."
    partitions: Annotated[
        int, Meta(ge=1, le=1024, description="partitions of each topic: the limit of parallel work")
    ] = 4
    replication: Annotated[int, Meta(ge=1, le=7, description="copies of each partition")] = 1
    tls: Annotated[
        bool, Meta(description="encrypt, and check the broker's certificate and name")
    ] = False
    tls_ca_file: Annotated[
        str, Meta(description="PEM file of who may sign the broker; empty: the system's list")
    ] = ""
    tls_certificate_file: Annotated[
        str, Meta(description="PEM file of our own certificate, where the broker asks for one")
    ] = ""
    tls_key_file: Annotated[
        str, Meta(description="PEM file of its key; empty: in the certificate's file")
    ] = ""
    tls_key_password_env: Annotated[
        _Variable, Meta(description="environment variable with the key's password, if it has one")
    ] = "KAFKA_TLS_KEY_PASSWORD"
    sasl_mechanism: Annotated[
        Literal["", "SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"],
        Meta(description="how to log in; empty: not at all, or by our certificate"),
    ] = ""
    sasl_username: Annotated[
        str, Meta(description="who logs in; for OAUTHBEARER the token says it")
    ] = ""
    sasl_password_env: Annotated[
        _Variable, Meta(description="environment variable that holds the password")
    ] = "KAFKA_SASL_PASSWORD"
    sasl_token_file: Annotated[
        str, Meta(description="file with the OAUTHBEARER token, read anew at each login")
    ] = ""
    allow_plaintext: Annotated[
        bool, Meta(description="let records and logins cross a network unencrypted")
    ] = False

    def __post_init__(self) -> None:
        """Refuse what would send records or a password in the clear, and what can't work."""
        if "@" in self.bootstrap_servers:
            msg = (
                "kafka.bootstrap_servers holds an `@`: it takes host:port only; the name goes to "
                "kafka.sasl_username, the password into the variable of kafka.sasl_password_env"
            )
            raise SettingsError(msg)
        away = [server for server in self.servers if not on_loopback(server)]
        if away and not self.tls and not self.allow_plaintext:
            what = "records and the login" if self.sasl_mechanism else "records"
            msg = (
                f"kafka.bootstrap_servers is {', '.join(away)}, which is not this machine, and "
                f"kafka.tls is false: {what} would cross the network unencrypted; set kafka.tls = "
                "true, or kafka.allow_plaintext = true if that network is yours alone"
            )
            raise SettingsError(msg)
        files = [name for name in _TLS_FILES if getattr(self, name)]
        if files and not self.tls:
            msg = f"kafka.{files[0]} is set, and kafka.tls is false; set kafka.tls = true"
            raise SettingsError(msg)
        if self.tls_key_file and not self.tls_certificate_file:
            msg = "kafka.tls_key_file is set without kafka.tls_certificate_file; set that too"
            raise SettingsError(msg)
        self._check_login()

    def _check_login(self) -> None:
        mechanism = self.sasl_mechanism
        needed = {"": "", "OAUTHBEARER": "sasl_token_file"}.get(mechanism, "sasl_username")
        if needed and not getattr(self, needed):
            msg = f"kafka.sasl_mechanism is {mechanism}, which needs kafka.{needed}; set it"
            raise SettingsError(msg)
        if not mechanism and (self.sasl_username or self.sasl_token_file):
            msg = (
                "kafka.sasl_username or kafka.sasl_token_file is set, and kafka.sasl_mechanism is "
                "not: nobody would log in; set it, to SCRAM-SHA-512 for instance"
            )
            raise SettingsError(msg)

    @property
    def servers(self) -> list[str]:
        """The brokers as a list."""
        return [server.strip() for server in self.bootstrap_servers.split(",")]

    @property
    def faust_url(self) -> str:
        """The brokers as Faust's micro-batch transport takes them."""
        return ";".join(f"runs://{server}" for server in self.servers)

    @property
    def protocol(self) -> str:
        """Kafka's word for it: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
        if self.sasl_mechanism:
            return "SASL_SSL" if self.tls else "SASL_PLAINTEXT"
        return "SSL" if self.tls else "PLAINTEXT"

    def client_settings(self) -> dict[str, Any]:
        """Keyword arguments of kafka-python's clients."""
        from stream.login import client_settings  # noqa: PLC0415 - settings load without it

        return client_settings(self)

    def async_client_settings(self) -> dict[str, Any]:
        """Keyword arguments of aiokafka's clients."""
        from stream.login import async_client_settings  # noqa: PLC0415

        return async_client_settings(self)


_TLS_FILES = ("tls_ca_file", "tls_certificate_file", "tls_key_file")


def on_loopback(server: str) -> bool:
    """Whether a `host:port` is on this machine; a name other than localhost never is.

    >>> [on_loopback(s) for s in ("localhost:9092", "127.0.0.9:1", "[::1]:9092", "10.0.0.1:9092")]
    [True, True, True, False]
    """
    host = server.rpartition(":")[0].strip("[]") or server
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
