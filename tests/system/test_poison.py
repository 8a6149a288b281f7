"""Poison on a real broker: kept byte for byte; a burst stops the role; after the fix nothing is
missing and nothing double."""

from __future__ import annotations

from pathlib import Path

from stream.connect import KafkaConfig
from tests.bench.poison import Course


def test_poison_is_kept_a_burst_halts_and_a_replay_mends_it(
    kafka_config: KafkaConfig, tmp_path: Path
) -> None:
    figures = Course(kafka_config, tmp_path).run(records=8_000, burst=2_000)
    assert figures.dead_letters == figures.identical == 80
    assert figures.halted_with == 3
    assert figures.halted_after < 1_000
    assert "51 of the last" in figures.said
    assert (figures.missing, figures.double) == (0, 0)
    assert figures.good
