"""A table's changelog trimmed, emptied, made anew, its disk lost or damaged: all rows, or a word.

`python -m tests.bench changelogs` does the same with more rows, and says how fast they come back.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.broker import EmbeddedKafka
from stream.connect import KafkaConfig
from tests.faults.changelog_cases import CASES, run_case


@pytest.mark.parametrize("case", CASES)
def test_every_row_is_there_or_the_role_says_what_to_do(
    kafka: EmbeddedKafka, case: str, tmp_path: Path
) -> None:
    broker = KafkaConfig(bootstrap_servers=kafka.bootstrap_servers)
    assert run_case(case, broker, tmp_path / "kept") == ""
