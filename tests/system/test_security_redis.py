"""A Redis that wants TLS, a login and rights: who may come in, and what the others are told."""

from __future__ import annotations

import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from features.store import UserFeatures
from features.store_config import StoreConfig
from features.store_feast import FeastStore
from infra.tether import tethered
from stream.errors import Halt, SettingsError
from tests.certificates import Authority

PASSWORD = "planted-Pa55,word"
"""With a comma, which the list of options could not hold."""

ROW = UserFeatures(user_id="ada", updated_ms=1, last_event_id="e1", events=1)

ACL = f"""\
user default off
user tidemill on >{PASSWORD} ~* -@all +@read +@write +@scripting +@connection
user reader on >{PASSWORD} ~* -@all +@read +@connection
"""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[int]:
    """The port of a Redis that speaks TLS only, to known users, whose certificates it asks for."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    folder = tmp_path_factory.mktemp("redis")
    mine = authority.issue("redis")
    (folder / "users.acl").write_text(ACL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", "0", "--tls-port", str(port)]
    command += ["--tls-cert-file", str(mine), "--tls-key-file", str(mine)]
    command += ["--tls-ca-cert-file", str(authority.certificate), "--save", ""]
    command += ["--dir", str(folder), "--aclfile", str(folder / "users.acl")]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen(tethered(command), stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + 20
        while not listens(port):
            if b"built" in (folder / "redis.log").read_bytes() and server.poll() is not None:
                pytest.skip("this redis-server was built without TLS")
            assert server.poll() is None, (folder / "redis.log").read_text()
            assert time.monotonic() < deadline_s, "redis-server did not start"
        yield port
    finally:
        server.terminate()
        server.wait(20)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def config(
    redis: int, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., StoreConfig]:
    monkeypatch.setenv("SHOP_REDIS", PASSWORD)
    certificate = authority.issue("tidemill")

    def made(**more: Any) -> StoreConfig:
        known: dict[str, Any] = {
            "directory": str(tmp_path / "features"),
            "redis": f"localhost:{redis}",
            "redis_username": "tidemill",
            "redis_password_env": "SHOP_REDIS",
            "redis_tls": True,
            "redis_tls_ca_file": str(authority.certificate),
            "redis_tls_certificate_file": str(certificate),
        }
        return StoreConfig(**(known | more))

    return made


def test_with_certificate_name_and_password_rows_are_written(
    config: Callable[..., StoreConfig], tmp_path: Path
) -> None:
    with closing(FeastStore(config())) as store:
        store.write([ROW])
        assert store.read(["ada"]) == [ROW]
    for file in (tmp_path / "features").iterdir():
        assert "planted" not in file.read_bytes().decode("latin-1"), file
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "features").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"redis_username": "stranger"}, r"refuses the login of user 'stranger'.*SHOP_REDIS"),
        ({"redis_username": ""}, r"refuses the login .*SHOP_REDIS"),
        ({"redis_tls_ca_file": ""}, r"certificate is not accepted.*store\.redis_tls_ca_file"),
        ({"redis_tls_certificate_file": ""}, r"store\.redis_tls_certificate_file"),
    ],
    ids=["no such user", "no name", "a certificate of a stranger", "no certificate of ours"],
)
def test_who_is_refused_is_told_why_at_once(
    config: Callable[..., StoreConfig], more: dict[str, str], told: str
) -> None:
    began_s = time.monotonic()
    with pytest.raises(Halt, match=told) as refused:
        FeastStore(config(**more))
    assert "planted" not in str(refused.value)
    assert time.monotonic() - began_s < 30  # Nobody insisted.


def test_a_wrong_password_is_refused_and_not_shown(
    config: Callable[..., StoreConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_REDIS", "planted-wr0ng")
    with pytest.raises(Halt, match=r"refuses the login of user 'tidemill'.*SHOP_REDIS") as refused:
        FeastStore(config())
    assert "planted" not in str(refused.value)
    monkeypatch.setenv("SHOP_REDIS", "")
    with pytest.raises(SettingsError, match="SHOP_REDIS .*holds no password: export it"):
        FeastStore(config())


def test_a_missing_right_is_named(config: Callable[..., StoreConfig]) -> None:
    with closing(FeastStore(config(redis_username="reader"))) as store:
        with pytest.raises(Halt, match=r"does not let us, user 'reader', do that.*ACLs"):
            store.write([ROW])


@pytest.mark.parametrize(
    ("redis", "told"),
    [
        ("redis.shop:6379", r"store\.redis_tls = true, or store\.redis_allow_plaintext"),
        ("127.0.0.1:6379,10.0.0.7:6379", r"10\.0\.0\.7:6379, which is not this machine"),
        (f"127.0.0.1:6379,password={PASSWORD}", r"REDIS_PASSWORD .store\.redis_password_env"),
        ("127.0.0.1:6379,ssl=true", r"store\.redis_tls"),
        ("127.0.0.1:6379,ssl_cert_reqs=none", r"store\.redis_tls"),
        (f"redis://u:{PASSWORD}@h:1", "host:port only"),
    ],
)
def test_what_would_cross_a_network_in_the_clear_is_refused(redis: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        StoreConfig(redis=redis)
    assert "planted" not in str(refused.value)


def test_a_word_lets_them_cross_all_the_same() -> None:
    assert StoreConfig(redis="redis.shop:6379", redis_allow_plaintext=True).redis
    assert StoreConfig(redis="redis.shop:6379,db=1", redis_tls=True).redis
