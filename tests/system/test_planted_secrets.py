"""Secrets are planted wherever one may stand, every command is made to fail, nothing shows them."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from infra.exposition import Exposition
from infra.roles import role_file
from infra.settings import Settings
from stream.errors import SettingsError
from tests.certificates import Authority
from tests.conftest import REPOSITORY

PLANTED = "planted-S3cret"

SECRETS = {
    "KAFKA_SASL_PASSWORD": PLANTED,
    "KAFKA_TLS_KEY_PASSWORD": PLANTED,
    "REDIS_PASSWORD": PLANTED,
    "METRICS_PASSWORD": PLANTED,
    "METRICS_TLS_KEY_PASSWORD": PLANTED,
}
"""Every variable that holds a secret, under its default name."""

LOGIN = {
    **SECRETS,
    "TIDEMILL_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "TIDEMILL_KAFKA_SASL_USERNAME": "shop",
    "TIDEMILL_STORE_REDIS": "127.0.0.1:1",
    "TIDEMILL_STORE_REDIS_USERNAME": "shop",
    "TIDEMILL_METRICS_USERNAME": "shop",
}

DESCRIBE = ("topics", "describe")
NOBODY = ("--bootstrap-servers", "127.0.0.1:1")
AWAY = ("--bootstrap-servers", "broker.invalid:9092")
IN_OPTIONS = {"TIDEMILL_STORE_REDIS": f"127.0.0.1:1,password={PLANTED}"}
IN_ADDRESS = {"TIDEMILL_STORE_REDIS": f"redis://shop:{PLANTED}@127.0.0.1:1"}


def run(folder: Path, *command: str, **environ: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **LOGIN, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (("settings",), {}, 0, "KAFKA_SASL_PASSWORD"),
        (("settings", "kafka", "store", "--json"), IN_OPTIONS, 0, "password=\\u2022"),
        (("doctor", *NOBODY), {}, 1, "nothing listens"),
        ((*DESCRIBE, *NOBODY), {}, 1, "no Kafka broker answers"),
        ((*DESCRIBE, *AWAY), {}, 2, "records and the login would cross"),
        ((*DESCRIBE, "--bootstrap-servers", f"shop:{PLANTED}@h:1"), {}, 2, "holds an `@`"),
        (("worker", "serving", *NOBODY), IN_OPTIONS, 2, "holds the option password"),
        (("worker", "serving", *NOBODY), IN_ADDRESS, 2, "takes host:port only"),
        (("settings",), {"TIDEMILL_KAFKA_SASL_PASSWORD": PLANTED}, 2, "no such setting"),
        (("settings",), {"TIDEMILL_STORE_REDIS_PASSWORD": PLANTED}, 2, "no such setting"),
        (("settings",), {"TIDEMILL_METRICS_PASSWORD": PLANTED}, 2, "no such setting"),
        (("settings",), {"TIDEMILL_KAFKA_SASL_PASSWORD_ENV": PLANTED}, 2, "got •••"),
        (("settings",), {"TIDEMILL_STORE_REDIS_PASSWORD_ENV": PLANTED}, 2, "got •••"),
        ((*DESCRIBE, *NOBODY), {"TIDEMILL_KAFKA_TLS_CA_FILE": "x"}, 2, "kafka.tls is false"),
    ],
)
def test_no_command_shows_a_planted_secret(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], code: int, said: str
) -> None:
    ended, output = run(tmp_path, "-m", "infra.cli", *arguments, **environ)
    assert said in output
    assert ended == code, output
    assert PLANTED not in output


CRASH = """
import faulthandler, os, signal, sys, traceback
from infra.config import MetricsConfig
from infra.settings import Settings
from features.store_config import StoreConfig
from features.redis_login import client_arguments, login_options
from infra.metrics_access import guarded
from stream.connect import KafkaConfig
faulthandler.enable()
def work(settings):
    kafka, store = settings.section(KafkaConfig), settings.section(StoreConfig)
    metrics = settings.section(MetricsConfig)
    clients = [
        kafka.client_settings(), kafka.async_client_settings(),
        client_arguments(login_options(store))
    ]
    app = guarded(None, metrics)
    print([settings, kafka, store, metrics, app, *clients])
    try:
        raise RuntimeError(f"{clients!r} {settings!r}")
    except RuntimeError as error:
        found = traceback.TracebackException.from_exception(error, capture_locals=True)
        print("".join(found.format()))
    faulthandler.dump_traceback(sys.stdout)
    os.kill(os.getpid(), signal.SIGSEGV)
work(Settings.load())
"""


def test_a_crash_shows_no_secret_though_it_shows_every_local_variable(tmp_path: Path) -> None:
    ended, output = run(tmp_path, "-c", CRASH)
    assert ended < 0, output
    assert "Segmentation fault" in output
    for shown in ("RuntimeError", "clients = ", "sasl_plain_password", "KafkaConfig("):
        assert shown in output
    assert PLANTED not in output


def test_metrics_and_role_file_show_no_secret(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assignments = [f"run.data_dir={tmp_path}", "metrics.learner=0", "metrics.username=shop"]
    with Exposition("learner", Settings.load(environ={}, assignments=assignments)) as shown:
        login = base64.b64encode(f"shop:{PLANTED}".encode()).decode()
        request = urllib.request.Request(shown.url, headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request) as page:
            text = page.read().decode()
        assert "tidemill_role_ready" in text
        assert PLANTED not in text
        assert PLANTED not in role_file(tmp_path, "learner").read_text()
    wrong = authority.issue("wrong", key_password="something else")
    with pytest.raises(SettingsError) as refused:
        Exposition(
            "learner",
            Settings.load(
                environ={}, assignments=[*assignments, f"metrics.tls_certificate_file={wrong}"]
            ),
        )
    assert PLANTED not in str(refused.value)
