from __future__ import annotations

import re
from pathlib import Path

from infra.config import MetricsConfig

CONFIG = Path(__file__).parents[3] / "infra" / "prometheus" / "prometheus.yml"


def test_prometheus_asks_every_process_on_its_default_port() -> None:
    text = CONFIG.read_text()
    ports = re.findall(r'targets: \["localhost:(\d+)"\]', text)
    processes = re.findall(r"process: ([\w-]+)}", text)
    config = MetricsConfig()

    asked = {name: int(port) for name, port in zip(processes, ports, strict=True)}

    assert asked == {
        "supervisor": config.supervisor,
        "ingest-profile": config.ingest_profile,
        "learner": config.learner,
        "serving": config.serving,
    }
