"""Three faults of Faust on real Kafka: on our transport they do no harm, on Faust's own they do.

`python -m tests.bench faust_faults` does the same forty times each.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.broker import EmbeddedKafka
from stream.connect import KafkaConfig
from tests.faults.faust_tries import FAULTS, attempt
from tests.faults.faust_worker import Fault


@pytest.fixture
def broker(kafka: EmbeddedKafka) -> KafkaConfig:
    return KafkaConfig(bootstrap_servers=kafka.bootstrap_servers)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_faust_loses_and_skips_nothing(
    broker: KafkaConfig, fault: Fault, tmp_path: Path
) -> None:
    for seed in range(2):
        assert attempt(broker, fault, seed, tmp_path / str(seed)) == ""


@pytest.mark.parametrize(
    ("fault", "harm"),
    [("past-in-flight", "was never finished"), ("raised", "was never finished")],
)
def test_faust_as_it_comes_fails_the_same_tries(
    broker: KafkaConfig, fault: Fault, harm: str, tmp_path: Path
) -> None:
    assert harm in attempt(broker, fault, 0, tmp_path / "stock", stock=True)
