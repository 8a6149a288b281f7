"""TLS and login for Redis: what its client takes, and what its refusals mean.

The password is read from the environment when a client is made, and goes nowhere else: not into the
settings, and not into Feast's `feature_store.yaml`. A refusal stops the process, where an absent
Redis is waited for: trying again would change nothing.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from redis import exceptions

from features.store_config import StoreConfig
from stream.errors import Halt, SettingsError
from stream.login import Secret


def login_options(config: StoreConfig) -> dict[str, Any]:
    """Whom to log in as and how to encrypt, without the password: what `feature_store.yaml` says.

    >>> login_options(StoreConfig(redis="localhost:6379"))
    {'password_env': 'REDIS_PASSWORD'}
    """
    names = ("username", "password_env", "tls", "tls_ca_file", "tls_certificate_file")
    found = {name: getattr(config, f"redis_{name}") for name in (*names, "tls_key_file")}
    return {name: value for name, value in found.items() if value}


def client_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of redis-py's clients, from `login_options`.

    Raises
    ------
    SettingsError
        If there is a name and no password in the environment, or a file can't be read.
    """
    arguments: dict[str, Any] = {}
    password = os.environ.get(options.get("password_env", ""), "")
    if password:
        arguments["password"] = Secret(password)
    if username := options.get("username"):
        if not password:
            msg = (
                f"store.redis_username is {username}, and the environment variable "
                f"{options['password_env']} (store.redis_password_env) holds no password: export it"
            )
            raise SettingsError(msg)
        arguments["username"] = username
    if options.get("tls"):
        arguments |= {
            "ssl": True,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        }
    for name, argument in _FILES.items():
        if path := options.get(name):
            _readable(name, path)
            arguments[argument] = path
    if "ssl_certfile" in arguments:
        arguments.setdefault("ssl_keyfile", arguments["ssl_certfile"])
    return arguments


def refusal(error: BaseException, config: StoreConfig) -> Halt | None:
    """Say in words what a client's error means, if it means that Redis refuses us.

    >>> config = StoreConfig(redis="localhost:6379")
    >>> print(refusal(exceptions.AuthenticationError("Authentication required."), config))
    Redis at localhost:6379 refuses the login (Authentication required.): check \
store.redis_username and the password in the environment variable REDIS_PASSWORD
    >>> refusal(exceptions.ConnectionError("refused"), config) is None
    True
    """
    where = f"Redis at {config.redis.split(',')[0]}"
    who = f" of user {config.redis_username!r}" if config.redis_username else ""
    for link in _chain(error):
        if isinstance(link, ssl.SSLCertVerificationError):
            return Halt(
                f"{where}: its certificate is not accepted ({link.verify_message}): set "
                "store.redis_tls_ca_file to the authority that signed it, and use a host name that "
                "stands in it"
            )
        if isinstance(link, ssl.SSLError):
            return Halt(
                f"{where}: no encrypted connection ({link.reason or type(link).__name__}): is that "
                "a TLS port, and does it ask for store.redis_tls_certificate_file?"
            )
        if isinstance(link, exceptions.AuthenticationError | exceptions.AuthorizationError):
            return Halt(
                f"{where} refuses the login{who} ({link}): check store.redis_username and the "
                f"password in the environment variable {config.redis_password_env}"
            )
        if isinstance(link, exceptions.NoPermissionError):
            name = repr(config.redis_username or "default")
            return Halt(f"{where} does not let us, user {name}, do that ({link}): see its ACLs")
    return None


_FILES = {
    "tls_ca_file": "ssl_ca_certs",
    "tls_certificate_file": "ssl_certfile",
    "tls_key_file": "ssl_keyfile",
}


def _readable(name: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        msg = (
            f"store.redis_{name} {path!r} can't be used ({error.strerror}): is it there, in PEM "
            "form, and readable by this user?"
        )
        raise SettingsError(msg) from None


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
