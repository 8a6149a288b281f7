"""A whole stack as it runs: what it listens on, who can read its files, what outages do to it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from infra.config import RunConfig
from infra.roles import ROLES
from infra.settings import Settings
from tests.bench._outages import Kind, Stack, Traffic
from tests.bench.outages import SETTINGS

PATIENCE_S = 120.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Under a shop's traffic, started with the most careless umask."""
    before = os.umask(0)
    try:
        settings = Settings.load(environ={}, assignments=SETTINGS)
        with Stack(tmp_path_factory.mktemp("stack"), settings) as running:
            with Traffic(running.supervisor.kafka, 20.0):
                running.consuming(PATIENCE_S)
                yield running
    finally:
        os.umask(before)


def listening(pid: int) -> set[tuple[str, int]]:
    """What a process and its children listen on."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_a_role_listens_on_loopback_for_its_metrics_and_on_nothing_else(stack: Stack) -> None:
    for status in stack.supervisor.status():
        assert status.pid is not None
        port = urlsplit(status.metrics_url).port
        assert listening(status.pid) == {("127.0.0.1", port)}, status.name


def test_the_broker_listens_on_loopback_only(stack: Stack) -> None:
    assert stack.broker.pid is not None
    found = listening(stack.broker.pid)
    assert {address.removeprefix("::ffff:") for address, _ in found} == {"127.0.0.1"}
    port = int(stack.broker.bootstrap_servers.rpartition(":")[2])
    assert port in {number for _, number in found}
    assert len(found) == 2  # clients and the controller


def test_no_file_of_the_stack_can_be_read_by_others_whatever_the_umask(stack: Stack) -> None:
    data = Path(stack.supervisor.settings.section(RunConfig).data_dir)
    seen = set()
    for folder in (data, stack.broker.data_dir):
        for path in (folder, *folder.rglob("*")):
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # a running stack replaces files
                continue
            assert not mode & 0o077, f"{path} {stat.filemode(mode)}"
            seen.add(path.relative_to(folder).parts[0] if path != folder else "")
    assert {"features", "state", "models", "logs", "run", "records"} <= seen


@pytest.mark.parametrize("kind", ["stopped", "frozen"])
def test_every_role_consumes_again_after_an_outage(stack: Stack, kind: Kind) -> None:
    outage = stack.outage(kind, 3.0, PATIENCE_S)
    assert set(outage.again_s) == set(ROLES)
    assert None not in outage.again_s.values(), outage
    assert not any(outage.restarts.values()), outage
