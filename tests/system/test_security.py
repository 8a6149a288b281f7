"""A broker that wants TLS, a login and rights: who may come in, and what the others are told."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from kafka import KafkaConsumer
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
from stream.broadcast import BroadcastReader
from stream.connect import KafkaConfig
from stream.errors import Halt
from stream.outgoing import Outgoing
from stream.publish import Publisher
from stream.topics import Topics
from tests.conftest import Spawn
from tests.system.test_serving import Shop, running
from tests.unit.serving.shop import PLAIN

PASSWORD = "planted-Pa55word"  # noqa: S105 - of a broker that lives for a test
PREFIX = "safe."
STRANGER = "stranger"
AT_WORK = "at work: partitions assigned"
EVERY_ACL = ACLFilter(
    None,
    None,
    ACLOperation.ANY,
    ACLPermissionType.ANY,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)


class Secured(NamedTuple):
    """The broker's two doors: ours in the clear with all rights, and everybody's."""

    inside: KafkaConfig
    outside: KafkaConfig


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: no certificate can be made for the broker")
    folder = tmp_path_factory.mktemp("secured")
    certificate, key, both = (folder / name for name in ("cert.pem", "key.pem", "both.pem"))
    subject = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST},DNS:localhost"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    both.write_text(key.read_text() + certificate.read_text())
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    doors = "PLAINTEXT://{host}:{port},SASL_SSL://{host}:" + str(port)
    users = [*ROLES, STRANGER]
    broker = EmbeddedKafka(
        folder / "kafka",
        settings={
            "listeners": doors + ",CONTROLLER://{host}:{controller}",
            "advertised.listeners": doors,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,"
            "CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common."
            "security.scram.ScramLoginModule required;",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(both),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        },
        format_options=[
            part
            for user in users
            for part in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD}]")
        ],
    )
    with broker:
        inside = KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic_prefix=PREFIX)
        create_topics(inside)
        with connect(inside) as admin:
            wanted = [acl for role in ROLES for acl in acls(role, PREFIX, role)]
            assert admin.create_acls(wanted)["failed"] == []
            # The controller has them now; the broker follows it, a moment later.
            while len(admin.describe_acls(EVERY_ACL)[0]) < len(wanted):
                pass
        yield Secured(
            inside,
            KafkaConfig(
                bootstrap_servers=f"{HOST}:{port}",
                topic_prefix=PREFIX,
                tls=True,
                tls_ca_file=str(certificate),
                sasl_mechanism="SCRAM-SHA-512",
                sasl_username="serving",
            ),
        )


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", PASSWORD)


def publish(kafka: KafkaConfig, topic: str) -> None:
    async def send() -> None:
        publisher = Publisher(kafka)
        try:
            await publisher.start()
            await publisher.publish(topic, [Outgoing(b"u1", b"{}")])
        finally:
            await publisher.stop()

    asyncio.run(send())


def as_user(kafka: KafkaConfig, user: str) -> KafkaConfig:
    return msgspec.structs.replace(kafka, sasl_username=user)


@pytest.mark.usefixtures("password")
def test_the_right_password_lets_both_libraries_in(secured: Secured) -> None:
    topics = Topics(PREFIX)
    publish(secured.outside, topics.recommendations)
    with BroadcastReader(as_user(secured.outside, "learner"), topics.item_vectors) as reader:
        assert reader.load(lambda _: None, 20.0) == 0
    with closing(KafkaConsumer(**secured.inside.client_settings())) as consumer:
        partitions = consumer.partitions_for_topic(topics.recommendations)
        assert len(partitions) == secured.inside.partitions


def test_a_wrong_password_ends_every_client_at_once(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "planted-wr0ng")
    told = "refuses the login of user 'serving' by SCRAM-SHA-512.*KAFKA_SASL_PASSWORD"
    began_s = time.monotonic()
    with pytest.raises(Halt, match=told) as by_publisher:
        publish(secured.outside, Topics(PREFIX).recommendations)
    with pytest.raises(Halt, match=told), connect(secured.outside):
        pass
    with (
        pytest.raises(Halt, match=told),
        BroadcastReader(secured.outside, Topics(PREFIX).adapters) as reader,
    ):
        reader.load(lambda _: None, 20.0)
    assert "planted-wr0ng" not in str(by_publisher.value)
    assert time.monotonic() - began_s < 60  # Nobody insisted: that would take minutes.


@pytest.mark.usefixtures("password")
def test_a_missing_right_and_a_strange_certificate_are_named(secured: Secured) -> None:
    with pytest.raises(Halt, match=r"does not let user 'serving' use a topic.*safe\.events"):
        publish(secured.outside, Topics(PREFIX).events)
    strange = msgspec.structs.replace(secured.outside, tls_ca_file="")
    with pytest.raises(Halt, match=r"certificate is not accepted.*kafka\.tls_ca_file"):
        publish(strange, Topics(PREFIX).recommendations)


@pytest.mark.usefixtures("password")
def test_serving_answers_in_transactions_with_its_own_rights(secured: Secured) -> None:
    shop = Shop(secured.inside)
    shop.stock()
    with running(as_user(secured.outside, "serving"), PLAIN):
        shop.ask(20)
        shop.read_until(shop.all_answered)
    shop.close()


@pytest.mark.parametrize(
    "case",
    [
        ("ingest-profile", ("ingest-profile", PASSWORD), AT_WORK),
        ("learner", ("learner", PASSWORD), AT_WORK),
        ("serving", ("serving", PASSWORD), "catalogue of 0 items loaded"),
        ("learner", ("learner", "planted-wr0ng"), "refuses the login of user 'learner'"),
        ("ingest-profile", (STRANGER, PASSWORD), "does not let user 'stranger' use"),
    ],
    ids=["ingest-profile", "learner", "serving", "wrong password", "no rights"],
)
def test_a_role_works_with_its_own_rights_and_stops_without(
    secured: Secured,
    tmp_path: Path,
    spawn: Spawn,
    case: tuple[str, tuple[str, str], str],
) -> None:
    role, (user, password), told = case
    kafka = as_user(secured.outside, user)
    variables = {
        f"TIDEMILL_KAFKA_{name.upper()}": str(getattr(kafka, name))
        for name in ("bootstrap_servers", "topic_prefix", "tls", "tls_ca_file")
    }
    variables |= {
        "TIDEMILL_KAFKA_SASL_MECHANISM": kafka.sasl_mechanism,
        "TIDEMILL_KAFKA_SASL_USERNAME": user,
        "KAFKA_SASL_PASSWORD": password,
        "TIDEMILL_RUN_DATA_DIR": str(tmp_path / "data"),
        f"TIDEMILL_METRICS_{role.replace('-', '_').upper()}": "0",
    }
    process = spawn("infra.cli", "worker", role, name="role", env=variables)
    log = tmp_path / "role.log"
    deadline_s = time.monotonic() + 120
    while told not in log.read_text() and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.1)
    if user == role and password == PASSWORD:
        assert process.poll() is None, log.read_text()
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    else:
        assert process.wait(60) == 1, log.read_text()
    assert told in log.read_text()
    assert "planted" not in log.read_text()
