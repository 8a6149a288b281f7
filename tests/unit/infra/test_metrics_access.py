"""Who reads the metrics: the one with the password, over our TLS, and nobody by accident."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.config import MetricsConfig
from infra.exposition import Exposition
from infra.metrics_access import read_page
from infra.metrics_server import CONNECTIONS
from infra.settings import Settings
from stream.errors import SettingsError
from tests.certificates import Authority

PASSWORD = "planted-Pa55word"


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Exposition]:
    monkeypatch.setenv("METRICS_PASSWORD", PASSWORD)

    def shown(*more: str) -> Exposition:
        assignments = [f"run.data_dir={tmp_path}", "metrics.learner=0", *more]
        return Exposition("learner", Settings.load(environ={}, assignments=assignments))

    return shown


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as page:
            return int(page.status)
    except urllib.error.HTTPError as refused:
        with refused:
            assert "planted" not in refused.read().decode()
        return refused.code


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "metrics.shop"])  # noqa: S104
def test_a_network_needs_a_login_or_tls_or_a_word(host: str) -> None:
    with pytest.raises(SettingsError, match=r"metrics\.username.*metrics\.allow_open = true"):
        MetricsConfig(host=host)
    MetricsConfig(host=host, username="prometheus")
    MetricsConfig(host=host, tls_certificate_file="cert.pem")
    MetricsConfig(host=host, allow_open=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    assert MetricsConfig(host=host).host == host


def test_only_the_right_name_and_password_read(show: Callable[..., Exposition]) -> None:
    with show("metrics.username=prometheus") as shown:
        assert status(shown.url) == 401
        for wrong in (
            basic("prometheus:"),
            basic(f"prometheus:{PASSWORD}x"),
            basic(f"other:{PASSWORD}"),
            basic(PASSWORD),
            "Basic ???",
            "Basic",
            f"Bearer {PASSWORD}",
        ):
            assert status(shown.url, Authorization=wrong) == 401
        assert status(shown.url, Authorization=basic(f"prometheus:{PASSWORD}")) == 200
        assert b"tidemill_role_ready" in read_page(
            shown.url, MetricsConfig(username="prometheus"), 5.0
        )


def test_a_name_without_a_password_stops_the_process(
    show: Callable[..., Exposition], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METRICS_PASSWORD")
    with pytest.raises(SettingsError, match="METRICS_PASSWORD .*holds no password: export it"):
        show("metrics.username=prometheus")


def test_tls_encrypts_and_the_supervisor_knows_its_own(
    show: Callable[..., Exposition], authority: Authority, tmp_path: Path
) -> None:
    mine = authority.issue("localhost")
    with show(f"metrics.tls_certificate_file={mine}", "metrics.username=prometheus") as shown:
        assert shown.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(authority.certificate))
        headers = {"Authorization": basic(f"prometheus:{PASSWORD}")}
        request = urllib.request.Request(shown.url, headers=headers)
        with urllib.request.urlopen(request, context=trusting) as page:
            assert b"tidemill_role_ready" in page.read()
        config = MetricsConfig(username="prometheus", tls_certificate_file=str(mine))
        assert b"tidemill_role_ready" in read_page(shown.url, config, 5.0)
        other = MetricsConfig(
            username="prometheus", tls_certificate_file=str(authority.issue("another"))
        )
        with pytest.raises(ConnectionError, match="another certificate than ours"):
            read_page(shown.url, other, 5.0)
        plain = http.client.HTTPConnection("127.0.0.1", shown.port, timeout=5)
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.request("GET", "/metrics")
            plain.getresponse()
        plain.close()


def test_a_certificate_that_cannot_be_used_is_named_without_its_password(
    show: Callable[..., Exposition],
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locked = authority.issue("locked", key_password=PASSWORD)
    told = r"metrics\.tls_certificate_file.*metrics\.tls_key_password_env"
    for password in ("", "planted-wr0ng"):
        monkeypatch.setenv("METRICS_TLS_KEY_PASSWORD", password)
        with pytest.raises(SettingsError, match=told) as refused:
            show(f"metrics.tls_certificate_file={locked}")
        assert "planted" not in str(refused.value)
    monkeypatch.setenv("METRICS_TLS_KEY_PASSWORD", PASSWORD)
    with show(f"metrics.tls_certificate_file={locked}") as shown:
        config = MetricsConfig(tls_certificate_file=str(locked))
        assert b"tidemill_role_ready" in read_page(shown.url, config, 5.0)


@pytest.mark.parametrize("encrypted", [False, True], ids=["in the clear", "with TLS"])
def test_silent_connections_block_nobody_until_there_are_too_many(
    show: Callable[..., Exposition], authority: Authority, encrypted: bool
) -> None:
    mine = authority.issue("localhost")
    more = [f"metrics.tls_certificate_file={mine}"] if encrypted else []
    config = MetricsConfig(tls_certificate_file=str(mine) if encrypted else "")
    with show(*more) as shown:
        silent = [
            socket.create_connection(("127.0.0.1", shown.port)) for _ in range(CONNECTIONS - 1)
        ]
        assert b"tidemill_role_ready" in read_page(shown.url, config, 5.0)
        silent.append(socket.create_connection(("127.0.0.1", shown.port)))
        for one in silent:
            one.close()
        deadline_s = time.monotonic() + 10
        while not readable(shown.url, config):  # until the server has seen them go
            assert time.monotonic() < deadline_s


def readable(url: str, config: MetricsConfig) -> bool:
    try:
        return b"tidemill_role_ready" in read_page(url, config, 5.0)
    except OSError:
        return False
