"""What all rooms' tests share: one real broker, topics of one's own, processes that end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from infra.broker import EmbeddedKafka
from infra.tether import tethered
from stream.connect import KafkaConfig
from tests.certificates import Authority

# A deadline says how busy the machine is, not what the code does.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

REPOSITORY = Path(__file__).parent.parent

Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """One broker for all tests of the session; `bootstrap_servers` says where."""
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def kafka_config(kafka: EmbeddedKafka) -> Iterator[KafkaConfig]:
    """The broker with a topic prefix of the test's own; all topics are created."""
    from infra.topic_admin import connect, create_topics  # noqa: PLC0415 - kafka-python is slow

    config = KafkaConfig(
        bootstrap_servers=kafka.bootstrap_servers, topic_prefix=f"t{uuid.uuid4().hex[:8]}."
    )
    create_topics(config)
    yield config
    with connect(config) as admin:
        mine = [name for name in admin.list_topics() if name.startswith(config.topic_prefix)]
        admin.delete_topics(mine, raise_errors=False)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start Python modules as processes: `spawn("infra.cli", "worker", "learner")`.

    Their output goes to `<tmp_path>/<name>.log` (`name=` gives it, the module's otherwise), `env=`
    adds to the environment. The test may kill them; whatever still runs at its end is asked to
    stop, and killed with its whole group if it does not in `patience_s=` seconds.
    """
    started: list[tuple[subprocess.Popen[bytes], float]] = []

    def start(
        module: str,
        *arguments: str,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        patience_s: float = 20.0,
    ) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{name or module}.log").open("ab") as log:
            process = subprocess.Popen(
                tethered([sys.executable, "-m", module, *arguments]),
                cwd=REPOSITORY,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append((process, patience_s))
        return process

    yield start
    for process, _ in started:
        if process.poll() is None:
            process.terminate()
    for process, patience_s in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the tests' certificates."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: no certificate can be made")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the recorded logs; the test is skipped where there is none."""
    folder = os.environ.get("TIDEMILL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set TIDEMILL_DATA to the folder with the recorded logs to run this")
    return Path(folder)
