"""Alerts fire on what they are for, ask for what is exposed, and stand in the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from stream.metrics import REGISTRY

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "infra" / "prometheus" / "alerts.yml"
PROMTOOL = shutil.which("promtool")

OF_HISTOGRAMS = re.compile(r"_(bucket|sum|count)$")


def rules() -> list[dict[str, object]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.skipif(
    PROMTOOL is None, reason="no `promtool` on the PATH: apt-get install prometheus"
)
def test_each_alert_fires_on_what_it_is_for_and_no_other() -> None:
    said = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(ALERTS.with_name("alerts_test.yml"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_each_alert_is_tried_in_the_rules_tests() -> None:
    tried = set(re.findall(r'alertname="(\w+)"', ALERTS.with_name("alerts_test.yml").read_text()))
    assert tried == {rule["alert"] for rule in rules()}


def test_alerts_ask_for_metrics_that_are_exposed() -> None:
    exposed = {metric.name for metric in REGISTRY.collect()}
    asked = set(re.findall(r"tidemill_\w+", " ".join(str(rule["expr"]) for rule in rules())))
    known = {OF_HISTOGRAMS.sub("", name).removesuffix("_total") for name in asked}
    assert known <= exposed


def test_each_alert_names_its_entry_in_the_runbook() -> None:
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
    for rule in rules():
        annotations = rule["annotations"]
        assert isinstance(annotations, dict)
        assert annotations["runbook"] == f"docs/runbook.md#{str(rule['alert']).lower()}"


def test_prometheus_loads_the_alerts() -> None:
    for name in ("prometheus.yml", "secured.yml"):
        config = yaml.safe_load(ALERTS.with_name(name).read_text())
        assert config["rule_files"] == [ALERTS.name]
