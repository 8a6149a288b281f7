"""Every role killed at every named point, five times each, and the verdict on what is left.

`tests.faults.points` names the points, `tests.faults.crash_course` tells how a course goes; each
course goes once through all points and ends with a verdict of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from infra.broker import EmbeddedKafka
from stream.connect import KafkaConfig
from tests.faults.crash_course import Course, figures
from tests.faults.points import POINTS


def main(arguments: Sequence[str]) -> int:
    """Print what went wrong, and the figures as the last line."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="courses: times of each point")
    parser.add_argument("--seed", type=int, default=0, help="of the first course")
    parser.add_argument("--points", nargs="*", default=list(POINTS), choices=POINTS)
    parser.add_argument("--json", action="store_true", help="figures as one JSON line only")
    given = parser.parse_args(arguments)
    started_s, right = time.monotonic(), 0
    total = Counter[str]()
    with tempfile.TemporaryDirectory() as name, EmbeddedKafka(Path(name) / "kafka") as broker:
        kafka = KafkaConfig(bootstrap_servers=broker.bootstrap_servers)
        for seed in range(given.seed, given.seed + given.times):
            try:
                verdict = Course(kafka, Path(name) / f"course-{seed}", seed).run(given.points)
            except AssertionError as error:
                print(f"course {seed}: {error}", file=sys.stderr, flush=True)
                continue
            right += len(given.points) * verdict.clean
            total.update({k: v for k, v in figures(verdict).items() if isinstance(v, int)})
            if not given.json:
                print(f"course {seed}: {json.dumps(figures(verdict))}", flush=True)
                for words in verdict.differences:
                    print(f"  {words}", flush=True)
    tries = len(given.points) * given.times
    line = {"points": len(given.points), "tries": tries, "right": right, **total}
    line["seconds"] = round(time.monotonic() - started_s)
    print(json.dumps(line), flush=True)
    return 0 if right == tries else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
