"""Reaching Kafka: what each library is given, and what is refused before anybody connects."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from stream.access import check_access, refusal
from stream.connect import KafkaConfig
from stream.errors import SettingsError
from stream.login import async_client_settings, client_settings, faust_settings, read_token

AWAY = "broker.shop:9093"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, r"kafka\.tls is false: records would cross the network"),
        ({"bootstrap_servers": f"localhost:9092,{AWAY}"}, r"is broker\.shop:9093, which is not"),
        ({"bootstrap_servers": "192.168.1.5:9092"}, r"allow_plaintext = true"),
        (
            {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "shop"},
            r"records and the login would cross",
        ),
        ({"tls": True, "sasl_mechanism": "PLAIN"}, r"needs kafka\.sasl_username; set it"),
        ({"tls": True, "sasl_mechanism": "OAUTHBEARER"}, r"needs kafka\.sasl_token_file"),
        ({"tls": True, "sasl_username": "shop"}, r"nobody would log in"),
        ({"tls": True, "tls_key_file": "k.pem"}, r"without kafka\.tls_certificate_file"),
        ({"bootstrap_servers": "localhost:1", "tls_ca_file": "c.pem"}, r"set kafka\.tls = true"),
    ],
)
def test_what_is_unsafe_or_can_not_work_is_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        KafkaConfig(**{"bootstrap_servers": AWAY, **settings})  # type: ignore[arg-type]


def test_plaintext_goes_out_only_when_that_is_said() -> None:
    config = KafkaConfig(bootstrap_servers=AWAY, allow_plaintext=True)
    assert client_settings(config) == {
        "bootstrap_servers": [AWAY],
        "security_protocol": "PLAINTEXT",
    }
    assert faust_settings(config) == {}


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_a_password_reaches_every_library_by_the_environment(
    mechanism: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    config = KafkaConfig(
        bootstrap_servers=AWAY,
        tls=True,
        sasl_mechanism=mechanism,  # type: ignore[arg-type]
        sasl_username="shop",
        sasl_password_env="SHOP_PASSWORD",
    )
    for settings in (client_settings(config), async_client_settings(config)):
        assert settings["security_protocol"] == "SASL_SSL"
        assert settings["sasl_mechanism"] == mechanism
        assert settings["sasl_plain_username"] == "shop"
        assert settings["sasl_plain_password"] == "hunter2"
        context = settings["ssl_context"]
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert "hunter2" not in repr(settings)
    login = faust_settings(config)["broker_credentials"]
    assert (login.protocol.value, login.mechanism.value) == ("SASL_SSL", mechanism)
    assert (login.username, login.password) == ("shop", "hunter2")
    assert "hunter2" not in repr(login) + repr(config)


def test_a_token_is_read_anew_for_every_login(tmp_path: Path) -> None:
    file = tmp_path / "token"
    config = KafkaConfig(
        bootstrap_servers=AWAY, tls=True, sasl_mechanism="OAUTHBEARER", sasl_token_file=str(file)
    )
    with pytest.raises(SettingsError, match=r"kafka\.sasl_token_file .*No such file"):
        read_token(config)
    provider = client_settings(config)["sasl_oauth_token_provider"]
    file.write_text("first\n")
    assert provider.token() == "first"
    file.write_text("second\n")
    assert provider.token() == "second"
    assert faust_settings(config)["broker_credentials"].mechanism.value == "OAUTHBEARER"


def test_what_is_missing_is_named_by_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_SASL_PASSWORD", raising=False)
    login = KafkaConfig(sasl_mechanism="SCRAM-SHA-512", sasl_username="shop")
    with pytest.raises(SettingsError, match=r"variable KAFKA_SASL_PASSWORD .*holds no password"):
        client_settings(login)
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("hunter2")
    with pytest.raises(SettingsError, match=r"kafka\.tls_ca_file .* in PEM form") as wrong:
        client_settings(KafkaConfig(tls=True, tls_ca_file=str(nonsense)))
    assert "hunter2" not in str(wrong.value)
    absent = str(tmp_path / "absent.pem")
    with pytest.raises(SettingsError, match=r"kafka\.tls_certificate_file .*No such file"):
        client_settings(KafkaConfig(tls=True, tls_certificate_file=absent))


def test_a_broker_that_is_away_is_no_refusal() -> None:
    check_access(KafkaConfig(bootstrap_servers="127.0.0.1:1", tls=True))
    assert refusal(ConnectionRefusedError(), KafkaConfig()) is None
