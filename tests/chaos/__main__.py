"""Break the whole stack on purpose and compare what it did with a reference: `--help` says how."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.findings import Verdict
from tests.chaos.run import Plan, Played, Theatre
from tests.chaos.schedule import KINDS

EXAMPLE = """\
examples:
  python -m tests.chaos --kills 100 --events 200000 --seed 7
  python -m tests.chaos --kills 8 --events 5000 --seed 1 --only kill,aimed,redis-wiped
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=100, help="kill -9 of roles (100)")
    parser.add_argument("--events", type=int, default=200_000, help="raw records sent (200000)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and the shop (1)")
    parser.add_argument("--rate", type=float, default=80.0, help="events per second (80)")
    parser.add_argument("--brokers", type=int, default=3, choices=(1, 3), help="brokers (3)")
    parser.add_argument(
        "--only",
        type=lambda text: tuple(text.split(",")),
        default=KINDS,
        metavar="KINDS",
        help=f"kinds of faults, comma separated, of {','.join(KINDS)}",
    )
    parser.add_argument("--folder", type=Path, help="where to work; kept, unless it is not given")
    parser.add_argument("--json", action="store_true", help="nothing but the last line")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.only) - set(KINDS):
        parser.error(f"--only {','.join(sorted(unknown))}: no such kinds; there are {KINDS}")
    if chosen.brokers == 1 and "broker-kill" in chosen.only:
        chosen.only = tuple(kind for kind in chosen.only if kind != "broker-kill")
    return chosen


def figures(played: Played, verdict: Verdict) -> dict[str, Any]:
    """What the run knows of itself, and what the comparison found."""
    director = played.director
    recoveries = sorted(k.recovery_s for k in director.kills if k.recovery_s is not None)
    found: dict[str, float | None] = {"p50": None, "p95": None, "max": None}
    if recoveries:
        p95 = recoveries[min(len(recoveries) - 1, round(0.95 * (len(recoveries) - 1)))]
        median = statistics.median(recoveries)
        found = {"p50": round(median, 1), "p95": round(p95, 1), "max": round(recoveries[-1], 1)}
    return {
        "kills": len(director.kills),
        "kills_in_work": sum(kill.in_work for kill in director.kills),
        "by_kind": dict(sorted(director.by_kind.items())),
        "skipped": dict(director.skipped),
        "events": verdict.events,
        "accepted": verdict.accepted,
        "duplicates": verdict.duplicates,
        "counted_again": verdict.counted_again,
        "dead_letters": verdict.dead_letters,
        "lost": verdict.lost,
        "double": verdict.double,
        "requests": verdict.requests,
        "unanswered": verdict.unanswered,
        "state_mismatches": verdict.state_mismatches,
        "recovery_s": found,
        "crashes": played.crashes,
        "differences": verdict.differences[:10],
        "seconds": round(played.seconds, 1),
    }


def main(arguments: Sequence[str]) -> int:
    """Run, and print the figures as the last line; returns the exit code."""
    chosen = parse(arguments)
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="tidemill-chaos-"))
    started_s = time.monotonic()

    def say(what: str) -> None:
        if not chosen.json:
            sys.stderr.write(f"{time.monotonic() - started_s:7.1f}  {what}\n")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is mounted is unmounted
    plan = Plan(
        chosen.kills,
        chosen.events,
        chosen.seed,
        chosen.rate,
        tuple(chosen.only),
        chosen.brokers,
        folder,
    )
    with Theatre(plan, say) as theatre:
        theatre.open()
        played = theatre.play()
        verdict = theatre.verdict(played.producers)
    if chosen.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    for difference in verdict.differences:
        say(difference)
    print(json.dumps(figures(played, verdict)), flush=True)
    return 0 if verdict.clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
