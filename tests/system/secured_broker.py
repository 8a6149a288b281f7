"""A broker with TLS, logins and ACLs: passwords and tokens at one door, certificates at another."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePatternFilter,
    ResourceType,
)

from infra.acls import acls
from infra.broker import HOST, EmbeddedKafka
from infra.roles import ROLES
from infra.topic_admin import connect, create_topics
from stream.connect import KafkaConfig
from tests.certificates import Authority

PASSWORD = "planted-Pa55word"
PREFIX = "safe."
STRANGER = "stranger"

Login = Literal["SCRAM-SHA-512", "PLAIN", "OAUTHBEARER", "certificate"]
LOGINS: tuple[Login, ...] = ("SCRAM-SHA-512", "PLAIN", "OAUTHBEARER", "certificate")

_SECURITY = "org.apache.kafka.common.security"
_EVERY_ACL = ACLFilter(
    None,
    None,
    ACLOperation.ANY,
    ACLPermissionType.ANY,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)


class Secured(NamedTuple):
    """The broker's doors: ours in the clear with all rights, and everybody's two.

    `files` holds tokens (`token-<user>`) and certificates (`<user>`, `foreign`).
    """

    inside: KafkaConfig
    outside: KafkaConfig
    certified: KafkaConfig
    files: Mapping[str, Path]

    def by(self, login: Login, user: str) -> KafkaConfig:
        """How a user logs in by one of the ways."""
        if login == "certificate":
            mine = str(self.files[user])
            return msgspec.structs.replace(self.certified, tls_certificate_file=mine)
        if login == "OAUTHBEARER":
            return msgspec.structs.replace(
                self.outside,
                sasl_mechanism=login,
                sasl_username="",
                sasl_token_file=str(self.files[f"token-{user}"]),
            )
        return msgspec.structs.replace(self.outside, sasl_mechanism=login, sasl_username=user)


@contextmanager
def secured_broker(folder: Path, authority: Authority) -> Iterator[Secured]:
    """Start it, with a user for each role, who has that role's rights, and one without any."""
    users = [*ROLES, STRANGER]
    mine, ports = authority.issue("broker"), _free_ports()
    doors = f"PLAINTEXT://{{host}}:{{port}},SASL_SSL://{HOST}:{ports[0]},SSL://{HOST}:{ports[1]}"
    passwords = " ".join(f'user_{user}="{PASSWORD}"' for user in users)
    broker = EmbeddedKafka(
        folder / "kafka",
        settings={
            "listeners": doors + ",CONTROLLER://{host}:{controller}",
            "advertised.listeners": doors,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,"
            "CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN,OAUTHBEARER",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{_SECURITY}.scram."
            "ScramLoginModule required;",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{_SECURITY}.plain."
            f"PlainLoginModule required {passwords};",
            # It believes what a token says: enough to see that ours arrives, and when it expires.
            "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config": f"{_SECURITY}.oauthbearer."
            'OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(mine),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.certificate),
            "listener.name.ssl.ssl.client.auth": "required",
            "listener.name.ssl.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        },
        format_options=[
            word
            for user in users
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD}]")
        ],
    )
    with broker:
        inside = KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic_prefix=PREFIX)
        create_topics(inside)
        with connect(inside) as admin:
            wanted = [acl for role in ROLES for acl in acls(role, PREFIX, role)]
            assert admin.create_acls(wanted)["failed"] == []
            # The controller has them now; the broker follows it, a moment later.
            while len(admin.describe_acls(_EVERY_ACL)[0]) < len(wanted):
                pass
        certified = KafkaConfig(
            bootstrap_servers=f"{HOST}:{ports[1]}",
            topic_prefix=PREFIX,
            tls=True,
            tls_ca_file=str(authority.certificate),
        )
        outside = msgspec.structs.replace(
            certified,
            bootstrap_servers=f"{HOST}:{ports[0]}",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="serving",
        )
        yield Secured(inside, outside, certified, _files(folder, authority, users))


def _files(folder: Path, authority: Authority, users: list[str]) -> dict[str, Path]:
    strange = folder / "strange"
    strange.mkdir()
    files = {user: authority.issue(user) for user in users}
    files["foreign"] = Authority(strange).issue("serving")
    for user in users:
        token = files[f"token-{user}"] = folder / f"token-{user}"
        token.write_text(_token(user))
    return files


def _token(user: str) -> str:
    """An unsigned token, as Kafka's own validator for tests takes it."""
    now_s = int(time.time())
    said = {"sub": user, "iat": now_s, "exp": now_s + 3_600, "scope": "kafka"}
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, said)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind((HOST, 0))
        two.bind((HOST, 0))
        return one.getsockname()[1], two.getsockname()[1]
