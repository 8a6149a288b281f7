"""Secrets are planted wherever one may stand, every command is made to fail, nothing shows them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PLANTED = "planted-S3cret"

LOGIN = {
    "TIDEMILL_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "TIDEMILL_KAFKA_SASL_USERNAME": "shop",
    "KAFKA_SASL_PASSWORD": PLANTED,
    "KAFKA_TLS_KEY_PASSWORD": PLANTED,
    "TIDEMILL_STORE_REDIS": f"127.0.0.1:1,password={PLANTED}",
}

DESCRIBE = ("topics", "describe")
NOBODY = ("--bootstrap-servers", "127.0.0.1:1")
AWAY = ("--bootstrap-servers", "broker.invalid:9092")


def tidemill(folder: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", *arguments],
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
        (("settings", "kafka", "store", "--json"), {}, 0, "password=\\u2022"),
        (("doctor", *NOBODY), {}, 1, "nothing listens"),
        ((*DESCRIBE, *NOBODY), {}, 1, "no Kafka broker answers"),
        ((*DESCRIBE, *AWAY), {}, 2, "records and the login would cross"),
        ((*DESCRIBE, "--bootstrap-servers", f"shop:{PLANTED}@h:1"), {}, 2, "holds an `@`"),
        (("settings",), {"TIDEMILL_KAFKA_SASL_PASSWORD": PLANTED}, 2, "no such setting"),
        (("settings",), {"TIDEMILL_KAFKA_SASL_PASSWORD_ENV": PLANTED}, 2, "got •••"),
        ((*DESCRIBE, *NOBODY), {"TIDEMILL_KAFKA_TLS_CA_FILE": "x"}, 2, "kafka.tls is false"),
    ],
)
def test_no_command_shows_a_planted_secret(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], code: int, said: str
) -> None:
    ended, output = tidemill(tmp_path, *arguments, **environ)
    assert said in output
    assert ended == code, output
    assert PLANTED not in output
