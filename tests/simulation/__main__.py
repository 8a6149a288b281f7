"""Run many seeds, or one of them again: `python -m tests.simulation --seeds 2000 --steps 500`.

The last line is JSON. The exit code is 1 if any seed left something that the verdict calls wrong;
`--first N --seeds 1 --steps M` runs that seed alone, and prints the same digest: it is over every
step taken and every record of every topic.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.world import Outcome, simulate

SAY_S = 10.0
"""Pause between two words of progress."""

COUNTED = ("events", "accepted", "duplicates", "dead_letters", "requests")
WRONG = ("lost", "double", "unanswered", "state_mismatches")


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Play seeds of interleavings, crashes and rebalances, and judge what is left.",
    )
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds (200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--steps", type=int, default=500, help="drawn steps of each seed (500)")
    parser.add_argument(
        "--real-every",
        type=int,
        default=0,
        metavar="N",
        help="every N-th seed has a learner with its real weights and files (0: none)",
    )
    return parser.parse_args(given)


def main(given: Sequence[str]) -> int:
    """Play, and print a line of figures."""
    asked = arguments(given)
    logging.disable(logging.CRITICAL)  # what is drawn fails, and says so a thousand times
    try:
        return _play_all(asked)
    finally:
        logging.disable(logging.NOTSET)


def _play_all(asked: argparse.Namespace) -> int:
    started_s = said_s = time.monotonic()
    figures, digest = Counter[str](), hashlib.blake2b(digest_size=16)
    failed: list[int] = []
    seeds = range(asked.first, asked.first + asked.seeds)
    for number, seed in enumerate(seeds, start=1):
        outcome = play(seed, asked.steps, asked.real_every)
        digest.update(outcome.digest.encode())
        figures["faults"] += outcome.faults
        figures.update({name: getattr(outcome.verdict, name) for name in (*COUNTED, *WRONG)})
        if not outcome.verdict.clean:
            failed.append(seed)
            print(f"seed {seed}: {outcome.verdict}", file=sys.stderr, flush=True)
        if time.monotonic() - said_s > SAY_S or number == len(seeds):
            said_s = time.monotonic()
            rate = number * asked.steps / (said_s - started_s)
            words = f"{number} of {len(seeds)} seeds, {len(failed)} failed, {rate:.0f} steps/s"
            print(words, file=sys.stderr, flush=True)
    seconds = time.monotonic() - started_s
    print(
        json.dumps(
            {
                "seeds": asked.seeds,
                "first": asked.first,
                "steps": asked.steps,
                "failed": failed,
                **{name: figures[name] for name in ("faults", *COUNTED, *WRONG)},
                "seconds": round(seconds, 1),
                "steps_per_s": round(asked.seeds * asked.steps / seconds),
                "digest": digest.hexdigest(),
            }
        )
    )
    return 1 if failed else 0


def play(seed: int, steps: int, real_every: int) -> Outcome:
    """Play one seed, with a real learner where it is its turn."""
    if not real_every or seed % real_every:
        return simulate(seed, steps)
    with tempfile.TemporaryDirectory() as folder:
        return simulate(seed, steps, Path(folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
