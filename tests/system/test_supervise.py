"""Supervision of real processes: restart with the reason, give up with it, leave none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from infra.broker import EmbeddedKafka
from infra.settings import Settings
from infra.supervise import RoleStatus, Supervisor
from stream.connect import KafkaConfig
from stream.errors import Halt
from tests.conftest import REPOSITORY

FREE_PORTS = [
    f"metrics.{name}=0" for name in ("supervisor", "ingest_profile", "learner", "serving")
]


def fake(role: str) -> list[str]:
    return [sys.executable, "-m", "tests.system.fake_role", role]


def settings_in(folder: Path, kafka: KafkaConfig, *more: str) -> Settings:
    return Settings.load(
        environ={},
        assignments=[
            f"run.data_dir={folder}",
            f"kafka.bootstrap_servers={kafka.bootstrap_servers}",
            f"kafka.topic_prefix={kafka.topic_prefix}",
            "supervise.backoff_s=0.1",
            *FREE_PORTS,
            *more,
        ],
    )


class Heard:
    """What the supervisor said, to wait for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._new = threading.Condition()

    def __call__(self, text: str) -> None:
        with self._new:
            self.lines.append(text)
            self._new.notify_all()

    def wait_for(self, *words: str) -> str:
        with self._new:
            found: list[str] = []

            def there() -> bool:
                found[:] = [line for line in self.lines if all(word in line for word in words)]
                return bool(found)

            assert self._new.wait_for(there, timeout=20), (words, self.lines)
            return found[-1]


def wait_until(true: Callable[[], bool], within_s: float = 20) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, f"not within {within_s} s"
        time.sleep(0.02)


def stack(folder: Path, kafka: KafkaConfig, *more: str, heard: Heard | None = None) -> Supervisor:
    return Supervisor(
        settings_in(folder, kafka, *more), embedded=False, say=heard or Heard(), command=fake
    )


def role(running: Supervisor, name: str) -> RoleStatus:
    return next(status for status in running.status() if status.name == name)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    yield


pytestmark = pytest.mark.usefixtures("environment")


def test_a_killed_role_comes_back_and_the_reason_is_said(
    tmp_path: Path, kafka_config: KafkaConfig
) -> None:
    heard = Heard()
    with stack(tmp_path, kafka_config, heard=heard) as running:
        victim = role(running, "learner")
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        heard.wait_for("learner ended (killed by SIGKILL)", "again in 0.1 s")
        wait_until(lambda: role(running, "learner").state == "ready")
        again = role(running, "learner")
        assert again.pid != victim.pid
        assert (again.restarts, again.reason) == (1, "killed by SIGKILL")
        with urllib.request.urlopen(running.metrics_url) as page:
            assert b'tidemill_role_restarts_total{role="learner"}' in page.read()
        left = [process.pid for process in psutil.Process().children(recursive=True)]
    assert (tmp_path / "order").read_text().split() == ["serving", "learner", "ingest-profile"]
    assert not [
        pid for pid in left if psutil.pid_exists(pid) and pid in _children_of_roles(running)
    ]


def _children_of_roles(running: Supervisor) -> set[int]:
    return {status.pid for status in running.status() if status.pid is not None}


def test_a_role_that_cannot_start_stops_all_with_its_message(
    tmp_path: Path, kafka_config: KafkaConfig
) -> None:
    (tmp_path / "serving.halt").write_text("the model is made of cheese")
    failing = stack(
        tmp_path, kafka_config, "supervise.start_tries=3", "supervise.backoff_max_s=0.1"
    )
    with pytest.raises(
        Halt, match=r"serving failed to start 3 times.*made of cheese.*serving\.log"
    ):
        failing.start()
    assert all(status.state == "stopped" for status in failing.status())
    assert not list((tmp_path / "run").glob("*.json"))


def test_a_role_on_which_too_many_records_fail_stops_all_with_its_reason(
    tmp_path: Path, kafka_config: KafkaConfig
) -> None:
    (tmp_path / "ingest-profile.refuses").write_text("51 of the last 60 records; mend the tea")
    heard = Heard()
    failing = stack(tmp_path, kafka_config, "supervise.start_tries=2", heard=heard)
    with pytest.raises(Halt, match=r"ingest-profile gave up 2 times.*51 of the last.*mend the tea"):
        failing.start()
        wait_until(lambda: failing.failure is not None)
        failing.check()
    failing.stop()
    assert sum("started again" in line for line in heard.lines) == 1
    assert all("mend the tea" in line for line in heard.lines if "started again" in line)


def test_a_role_that_ignores_the_stop_is_killed(tmp_path: Path, kafka_config: KafkaConfig) -> None:
    (tmp_path / "learner.stubborn").touch()
    heard = Heard()
    running = stack(tmp_path, kafka_config, "supervise.stop_timeout_s=0.3", heard=heard)
    running.start()
    pid = role(running, "learner").pid
    running.stop()
    heard.wait_for("learner did not end in time and was killed")
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_one_stack_per_folder(tmp_path: Path, kafka_config: KafkaConfig) -> None:
    with stack(tmp_path, kafka_config):
        with pytest.raises(Halt, match=f"a stack runs in .* already .process {os.getpid()}"):
            stack(tmp_path, kafka_config).start()


def test_fresh_refuses_another_cluster(tmp_path: Path, kafka_config: KafkaConfig) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(Halt, match=r"choose a new kafka\.topic_prefix"):
        Supervisor(
            settings_in(tmp_path, kafka_config), embedded=False, fresh=True, command=fake
        ).start()
    assert (tmp_path / "state").exists()


SUPERVISOR = """
import signal, sys
from tests.system.test_supervise import fake
from infra.settings import Settings
from infra.supervise import Supervisor
running = Supervisor(Settings.load(environ={}, assignments=sys.argv[1:]), command=fake)
running.start()
print(running.broker.pid, *(status.pid for status in running.status()), flush=True)
signal.pause()
"""


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path, kafka: EmbeddedKafka) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "mine.txt").write_text("not ours")
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            SUPERVISOR,
            f"run.data_dir={tmp_path}",
            "broker.port=0",
            *FREE_PORTS,
        ],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    ) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        assert len(pids) == 4
        supervisor.kill()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), within_s=5)


def test_a_killed_broker_comes_back_on_its_port_and_fresh_keeps_what_is_not_ours(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "mine.txt").write_text("not ours")
    heard = Heard()
    settings = Settings.load(
        environ={}, assignments=[f"run.data_dir={tmp_path}", "broker.port=0", *FREE_PORTS]
    )
    with Supervisor(settings, fresh=True, say=heard, command=fake) as running:
        assert not (tmp_path / "state").exists()
        assert (tmp_path / "mine.txt").exists()
        assert running.broker is not None
        where, pid = running.broker.bootstrap_servers, running.broker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        heard.wait_for("Kafka ended")
        wait_until(lambda: running.broker is not None and running.broker.pid not in (pid, None))
        wait_until(lambda: heard.lines[-1] == "Kafka is back", within_s=60)
        assert running.broker.bootstrap_servers == where
        running.check()
