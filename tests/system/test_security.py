"""A broker that wants TLS, a login and rights: who may come in, and what the others are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer

from infra.topic_admin import connect
from stream.broadcast import BroadcastReader
from stream.connect import KafkaConfig
from stream.errors import Halt
from stream.outgoing import Outgoing
from stream.publish import Publisher
from stream.topics import Topics
from tests.certificates import Authority
from tests.conftest import Spawn
from tests.system.secured_broker import (
    LOGINS,
    PASSWORD,
    PREFIX,
    STRANGER,
    Login,
    Secured,
    secured_broker,
)
from tests.system.test_serving import Shop, running
from tests.unit.serving.shop import PLAIN

AT_WORK = "at work: partitions assigned"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Secured]:
    with secured_broker(tmp_path_factory.mktemp("secured"), authority) as doors:
        yield doors


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
def test_serving_answers_in_transactions_with_its_own_rights(secured: Secured) -> None:
    # First of all: nothing else is on the topics yet, and no items are left on them afterwards.
    shop = Shop(secured.inside)
    with running(as_user(secured.outside, "serving"), PLAIN):
        shop.ask(20)
        shop.read_until(shop.all_answered)
    shop.close()


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
@pytest.mark.parametrize("login", LOGINS)
def test_every_way_to_log_in_lets_both_libraries_in_with_the_rights_of_its_user(
    secured: Secured, login: Login
) -> None:
    topics = Topics(PREFIX)
    serving = secured.by(login, "serving")
    publish(serving, topics.recommendations)
    with pytest.raises(Halt, match=r"does not let .* use a topic.*safe\.events"):
        publish(serving, topics.events)
    with BroadcastReader(secured.by(login, "learner"), topics.item_vectors) as reader:
        assert reader.load(lambda _: None, 20.0) == 0


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize(
    ("login", "wrong", "told"),
    [
        ("PLAIN", {"sasl_username": "nobody"}, "refuses the login of user 'nobody' by PLAIN"),
        ("certificate", {"tls_certificate_file": ""}, r"kafka\.tls_certificate_file"),
        ("certificate", {"tls_certificate_file": "foreign"}, r"kafka\.tls_certificate_file"),
    ],
    ids=["unknown user", "no certificate", "certificate of another authority"],
)
def test_every_way_to_log_in_is_refused_at_once_with_its_reason(
    secured: Secured, login: Login, wrong: dict[str, str], told: str
) -> None:
    files = {
        name: str(secured.files[word]) for name, word in wrong.items() if word in secured.files
    }
    kafka = msgspec.structs.replace(secured.by(login, "serving"), **(wrong | files))
    began_s = time.monotonic()
    with pytest.raises(Halt, match=told) as by_publisher:
        publish(kafka, Topics(PREFIX).recommendations)
    with (
        pytest.raises(Halt, match=told),
        BroadcastReader(kafka, Topics(PREFIX).adapters) as reader,
    ):
        reader.load(lambda _: None, 20.0)
    assert "planted" not in str(by_publisher.value)
    assert time.monotonic() - began_s < 60  # Nobody insisted: that would take minutes.


@pytest.mark.parametrize(
    "case",
    [
        ("ingest-profile", "SCRAM-SHA-512", "ingest-profile", PASSWORD, AT_WORK),
        ("learner", "SCRAM-SHA-512", "learner", PASSWORD, AT_WORK),
        ("serving", "SCRAM-SHA-512", "serving", PASSWORD, "catalogue loaded: 0 items"),
        ("learner", "PLAIN", "learner", PASSWORD, AT_WORK),
        ("learner", "OAUTHBEARER", "learner", PASSWORD, AT_WORK),
        ("learner", "certificate", "learner", PASSWORD, AT_WORK),
        ("learner", "SCRAM-SHA-512", "learner", "planted-wr0ng", "refuses the login of user 'lea"),
        ("ingest-profile", "SCRAM-SHA-512", STRANGER, PASSWORD, "does not let user 'stranger' use"),
    ],
    ids=lambda case: f"{case[0]} by {case[1]} as {case[2]}: {case[4][:16]}",
)
def test_a_role_works_with_its_own_rights_and_stops_without(
    secured: Secured, tmp_path: Path, spawn: Spawn, case: tuple[str, Login, str, str, str]
) -> None:
    role, login, user, password, told = case
    kafka = secured.by(login, user)
    variables = {
        f"TIDEMILL_KAFKA_{name.upper()}": str(getattr(kafka, name))
        for name in KafkaConfig.__struct_fields__
        if getattr(kafka, name) != getattr(KafkaConfig(), name)
    }
    variables |= {
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
