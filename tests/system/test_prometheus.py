"""A real Prometheus scrapes a real stack, and every panel has something to show."""

from __future__ import annotations

import json
import math
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.grafana.dashboards import ANNOTATIONS
from infra.grafana.panels import ROWS, Query
from tests.system.demo_process import metrics_url, start_demo, stop, wait_for

PROMETHEUS = shutil.which("prometheus")
CONFIG = Path(__file__).parents[2] / "infra" / "prometheus" / "prometheus.yml"
SCRAPE_S = 1
RATE_INTERVAL = "30s"

QUERIES = [
    pytest.param(query, id=f"{panel.title}: {query.legend}")
    for row in ROWS
    for panel in row.panels
    for query in panel.queries
]

pytestmark = [
    pytest.mark.skipif(
        PROMETHEUS is None, reason="no `prometheus` on the PATH: apt-get install prometheus"
    ),
    pytest.mark.timeout(400),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def retarget(config: str, data_dir: Path) -> str:
    """The shipped configuration with the ports of this stack instead of the default ones."""
    lines = []
    for line in config.splitlines():
        if "targets:" in line:
            target = line
        elif "process:" in line:
            process = line.split("process:")[1].strip(" }\"'")
            address = urllib.parse.urlsplit(metrics_url(data_dir, process)).netloc
            indent = target.split("- targets")[0]
            lines += [f"{indent}- targets: [{address!r}]", line]
        else:
            lines.append(line)
    return "\n".join(lines).replace("scrape_interval: 5s", f"scrape_interval: {SCRAPE_S}s")


class Asked:
    """A running Prometheus, and how to ask it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, expr: str) -> list[float]:
        """The result of an expression now; a wrong one raises."""
        for variable in ("$__rate_interval", "$__range", "$__interval"):
            expr = expr.replace(variable, RATE_INTERVAL)
        expr = expr.replace("$tenant", ".*")
        return [float(row["value"][1]) for row in self.get("/api/v1/query", query=expr)["result"]]

    def has_data(self, expr: str) -> bool:
        return any(not math.isnan(value) for value in self.values(expr))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A Prometheus that has watched a demo for a while; both are running."""
    data_dir = tmp_path_factory.mktemp("stack")
    # Windows of seconds, so that calibration has something to say within the test.
    told = ("--set", "outcomes.on=true", "--set", "outcomes.click_window_s=5")
    demo = start_demo(data_dir, "--rate", "80", *told)
    watcher = None
    try:
        processes = ("ingest-profile", "learner", "serving", "supervisor")
        wait_for(lambda: all(metrics_url(data_dir, name) for name in processes), demo, 120)
        port = free_port()
        config = data_dir / "prometheus.yml"
        config.write_text(retarget(CONFIG.read_text(), data_dir))
        shutil.copy(CONFIG.with_name("alerts.yml"), data_dir)
        watcher = subprocess.Popen(
            [
                str(PROMETHEUS),
                f"--config.file={config}",
                f"--storage.tsdb.path={data_dir / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        asked = Asked(f"http://127.0.0.1:{port}")
        wait_for(lambda: answers(asked), demo, 60)
        wait_for(lambda: asked.has_data("tidemill_adapter_version > 0"), demo, 180)
        yield asked
    finally:
        if watcher is not None:
            watcher.terminate()
            watcher.wait(30)
        stop(demo, signal.SIGINT)


def answers(asked: Asked) -> bool:
    try:
        return bool(asked.values("up"))
    except OSError:
        return False


def test_every_target_of_the_shipped_configuration_is_up(prometheus: Asked) -> None:
    targets = prometheus.get("/api/v1/targets")["activeTargets"]

    assert {target["labels"]["process"] for target in targets} == {
        "ingest-profile",
        "learner",
        "serving",
        "supervisor",
    }
    assert [target["lastError"] for target in targets if target["health"] != "up"] == []


@pytest.mark.parametrize("query", QUERIES)
def test_every_panel_has_data(prometheus: Asked, query: Query) -> None:
    deadline_s = time.monotonic() + 60
    while not prometheus.has_data(query.expr):
        assert time.monotonic() < deadline_s, f"no data: {query.expr}"
        time.sleep(0.5)


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=lambda annotation: annotation.name)
def test_annotations_are_valid_queries(prometheus: Asked, annotation: Any) -> None:
    assert prometheus.values(annotation.expr) is not None


def test_alerts_are_loaded_and_none_fires_in_a_healthy_shop(prometheus: Asked) -> None:
    def rules() -> list[dict[str, Any]]:
        return [
            rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]
        ]

    deadline_s = time.monotonic() + 60
    while any(rule["health"] == "unknown" for rule in rules()):  # not asked yet
        assert time.monotonic() < deadline_s
        time.sleep(0.5)

    assert rules()
    assert [rule["lastError"] for rule in rules() if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []
