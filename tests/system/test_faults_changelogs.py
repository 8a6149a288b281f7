"""A table's changelog trimmed, emptied, made anew, its disk lost or damaged: all rows, or a word.

`python -m tests.bench changelogs` does the same with more rows, and says how fast they come back.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.broker import EmbeddedKafka
from stream.connect import KafkaConfig
from tests.faults.changelog_cases import CASES, run_case

pytestmark = pytest.mark.slow


AT_ONCE = 4
"""A start mostly waits: for the group, for the end of a changelog."""


def test_every_row_is_there_or_the_role_says_what_to_do(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    broker = KafkaConfig(bootstrap_servers=kafka.bootstrap_servers)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = {case: pool.submit(run_case, case, broker, tmp_path / case) for case in CASES}
    wrong = {case: done.result() for case, done in found.items() if done.result()}
    assert wrong == {}
