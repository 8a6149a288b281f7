"""The settings of the online store, apart from it: reading them must not import Feast.

>>> StoreConfig(redis="redis.shop:6379")
Traceback (most recent call last):
...
stream.errors.SettingsError: store.redis is redis.shop:6379, which is not this machine, and \
store.redis_tls is false: users' features and the login would cross the network unencrypted; set \
store.redis_tls = true, or store.redis_allow_plaintext = true if that network is yours alone
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from stream.connect import on_loopback
from stream.errors import SettingsError

_Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the online store keeps users' features."""

    directory: Annotated[
        str, Meta(min_length=1, description="folder of Feast's registry and of the SQLite file")
    ] = ".tidemill/features"
    redis: Annotated[
        str,
        Meta(
            description="host:port of a Redis, with options as in 'localhost:6379,db=1'; empty for "
            "SQLite in the folder"
        ),
    ] = ""
    redis_cluster: Annotated[
        bool, Meta(description="whether the Redis above is a Redis Cluster")
    ] = False
    redis_username: Annotated[
        str, Meta(description="who logs in there; empty: Redis's default user")
    ] = ""
    redis_password_env: Annotated[
        _Variable, Meta(description="environment variable with the password, if Redis wants one")
    ] = "REDIS_PASSWORD"
    redis_tls: Annotated[
        bool, Meta(description="encrypt, and check Redis's certificate and name")
    ] = False
    redis_tls_ca_file: Annotated[
        str, Meta(description="PEM file of who may sign Redis; empty: the system's list")
    ] = ""
    redis_tls_certificate_file: Annotated[
        str, Meta(description="PEM file of our own certificate, where Redis asks for one")
    ] = ""
    redis_tls_key_file: Annotated[
        str, Meta(description="PEM file of its key; empty: in the certificate's file")
    ] = ""
    redis_allow_plaintext: Annotated[
        bool, Meta(description="let users' features and the login cross a network unencrypted")
    ] = False
    project: Annotated[
        str, Meta(pattern="^[a-z][a-z0-9_]*$", description="Feast's name for this shop's features")
    ] = "tidemill"
    timeout_ms: Annotated[
        int, Meta(ge=1, description="how long a call waits for a locked file or a silent Redis")
    ] = 5_000

    def __post_init__(self) -> None:
        """Refuse a secret among the options, and what would cross a network in the clear."""
        parts = [part.strip() for part in self.redis.split(",")] if self.redis else []
        if any("@" in part or "://" in part for part in parts):
            msg = (
                "store.redis holds an address with `@` or `://`: it takes host:port only; the name "
                "goes to store.redis_username, the password into the variable of "
                "store.redis_password_env"
            )
            raise SettingsError(msg)
        for option in (part.partition("=")[0].strip().lower() for part in parts if "=" in part):
            if option in ("username", "password") or option.startswith("ssl"):
                msg = (
                    f"store.redis holds the option {option}: set store.redis_username, export the "
                    f"password as {self.redis_password_env} (store.redis_password_env), and set "
                    "store.redis_tls for encryption"
                )
                raise SettingsError(msg)
        away = [part for part in parts if "=" not in part and not on_loopback(part)]
        if away and not self.redis_tls and not self.redis_allow_plaintext:
            msg = (
                f"store.redis is {', '.join(away)}, which is not this machine, and store.redis_tls "
                "is false: users' features and the login would cross the network unencrypted; set "
                "store.redis_tls = true, or store.redis_allow_plaintext = true if that network is "
                "yours alone"
            )
            raise SettingsError(msg)
        files = [name for name in _TLS_FILES if getattr(self, name)]
        if files and not self.redis_tls:
            msg = f"store.{files[0]} is set, and store.redis_tls is false; set it to true"
            raise SettingsError(msg)


_TLS_FILES = ("redis_tls_ca_file", "redis_tls_certificate_file", "redis_tls_key_file")
