"""A broker stopped for 30 s, and one frozen for 20 s: when each role consumes again.

A whole stack on this machine (supervisor, three role processes, broker) under a shop's traffic. A
role has to consume what is produced after the outage within 60 s of the broker's first answer, or
to be red within 30 s of the outage's beginning and then to be restarted by the supervisor. Exit
code 1 if one does neither.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from infra.roles import ROLES
from infra.settings import Settings
from tests.bench._outages import Kind, Outage, Stack, Traffic

AGAIN_S = 60.0
RED_S = 30.0
LASTS_S: dict[Kind, float] = {"stopped": 30.0, "frozen": 20.0}

SETTINGS = ("learner.publish_every_s=2", *(f"metrics.{n}=0" for n in ("supervisor", "learner")))
SETTINGS += ("metrics.ingest_profile=0", "metrics.serving=0")
"""Every port a free one; the learner commits with its checkpoints, which sets its least time."""


def summary(outages: Sequence[Outage]) -> dict[str, Any]:
    """All outages of one kind in one line."""
    seconds = {role: [one.again_s[role] for one in outages] for role in ROLES}
    known = {role: [s for s in found if s is not None] for role, found in seconds.items()}
    return {
        "kind": outages[0].kind,
        "outages": len(outages),
        "broker_s": round(max(one.broker_s for one in outages), 1),
        "again_s": {
            role: {"p50": round(median(found), 1), "max": round(max(found), 1)} if found else None
            for role, found in known.items()
        },
        "restarts": {role: sum(one.restarts[role] for one in outages) for role in ROLES},
        "failed": sum(bool(one.failures(AGAIN_S, RED_S)) for one in outages),
    }


def line(outage: Outage) -> dict[str, Any]:
    """One outage for people and programs."""

    def short(times: dict[str, float | None]) -> dict[str, float | None]:
        return {role: None if s is None else round(s, 1) for role, s in times.items()}

    return {
        "kind": outage.kind,
        "broker_s": round(outage.broker_s, 1),
        "again_s": short(outage.again_s),
        "red_s": short(outage.red_s),
        "restarts": outage.restarts,
        "failed": outage.failures(AGAIN_S, RED_S),
    }


def main(arguments: Sequence[str]) -> int:
    """Print a line per outage and one per kind; the exit code."""
    parser = argparse.ArgumentParser(prog="outages", description=__doc__)
    parser.add_argument("--times", type=int, default=8, help="outages of each kind")
    parser.add_argument("--kinds", nargs="+", default=list(LASTS_S), choices=list(LASTS_S))
    parser.add_argument("--lasts-s", type=float, help="instead of 30 s and 20 s")
    parser.add_argument("--rate", type=float, default=20.0, help="records a second")
    parser.add_argument("--patience-s", type=float, default=180.0, help="longest wait for a role")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load(environ={}, assignments=SETTINGS)
        with Stack(Path(folder), settings) as stack:
            with Traffic(stack.supervisor.kafka, asked.rate):
                stack.consuming(asked.patience_s)
                for kind in asked.kinds:
                    outages = []
                    for _ in range(asked.times):
                        lasts_s = asked.lasts_s or LASTS_S[kind]
                        outages.append(stack.outage(kind, lasts_s, asked.patience_s))
                        print(json.dumps(line(outages[-1])), flush=True)
                    found.append(summary(outages))
            for words in stack.said:
                print(words, file=sys.stderr)
    for one in found:
        print(json.dumps(one) if asked.json else _words(one), flush=True)
    return int(any(one["failed"] for one in found))


def _words(one: dict[str, Any]) -> str:
    times = ", ".join(
        f"{role} {t['p50']:g} s (at most {t['max']:g} s)" if t else f"{role} never"
        for role, t in one["again_s"].items()
    )
    return f"{one['outages']} × broker {one['kind']}: consuming again after {times}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
