"""A role that dies at a named point: the product's `tidemill worker`, with one function wrapped.

    python -m tests.faults.worker ROLE [--crash-at NAME] [--pass N] [--data-dir …] [--set …]

The process kills itself with SIGKILL at the n-th pass of the point, after a line `crash point NAME,
pass N` on standard error; without `--crash-at` it is the plain role. All other options, and the
environment, are those of `tidemill worker`. `--points` lists the points.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from infra import cli
from infra.roles import role_of
from tests.faults.points import POINTS, arm


def main(arguments: Sequence[str]) -> int:
    """Arm the point, then run the role."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.worker", description=__doc__)
    parser.add_argument("role", nargs="?", type=role_of)
    parser.add_argument("--crash-at", metavar="NAME", choices=POINTS)
    parser.add_argument("--pass", dest="passes", type=int, default=1, metavar="N")
    parser.add_argument("--points", action="store_true", help="list the points and what they say")
    given, rest = parser.parse_known_args(arguments)
    if given.points:
        for name, point in POINTS.items():
            print(f"{name:<32}{point.role:<16}{point.says}")
        return 0
    if given.role is None:
        parser.error("name a ROLE, or say --points")
    if given.crash_at is not None:
        if POINTS[given.crash_at].role != given.role:
            parser.error(f"{given.crash_at} is a point of {POINTS[given.crash_at].role}")
        arm(given.crash_at, given.passes)
    return cli.run(["worker", given.role, *rest])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
