"""Every role killed once at each of its named points, in one course with one verdict.

`python -m tests.bench crash_points` does it five times, with other passes of the points.
"""

from __future__ import annotations

from pathlib import Path

from infra.broker import EmbeddedKafka
from stream.connect import KafkaConfig
from tests.faults.crash_course import Course
from tests.faults.points import POINTS


def test_a_role_killed_at_any_point_loses_and_doubles_nothing(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    broker = KafkaConfig(bootstrap_servers=kafka.bootstrap_servers)
    verdict = Course(broker, tmp_path / "course", seed=1).run(list(POINTS))
    assert verdict.clean, verdict.differences
    assert verdict.accepted > 100
    assert verdict.requests > 0
    assert verdict.duplicates > 0
    assert verdict.dead_letters > 0
