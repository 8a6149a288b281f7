"""Checkpoints killed during their save, with a bit flipped, cut short: does the last good one load?

`tests.faults.checkpoint_tries` tells what is done in one try.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.checkpoint_tries import Bench, flipped, killed, truncated
from tests.faults.forked import preload

TRIES = {"killed": (killed, 200), "flipped": (flipped, 200), "truncated": (truncated, 100)}


def main(arguments: Sequence[str]) -> int:
    """Print what went wrong, and the figures as the last line."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the 500 tries")
    parser.add_argument("--seed", type=int, default=0, help="of the first try of each kind")
    parser.add_argument("--json", action="store_true", help="figures as one JSON line only")
    given = parser.parse_args(arguments)
    preload("tests.faults.checkpoint_tries")
    started_s, bench = time.monotonic(), Bench()
    figures: dict[str, float] = {"tries": 0, "right": 0}
    for kind, (attempt, most) in TRIES.items():
        count = round(most * given.share)
        right = 0
        for seed in range(given.seed, given.seed + count):
            with tempfile.TemporaryDirectory() as name:
                wrong = attempt(bench, seed, Path(name) / "checkpoints")
            right += not wrong
            if wrong and not given.json:
                print(f"{kind}, seed {seed}: {wrong}", flush=True)
        figures |= {f"{kind}": count, f"{kind}_right": right}
        figures["tries"] += count
        figures["right"] += right
    figures["seconds"] = round(time.monotonic() - started_s, 1)
    print(json.dumps(figures), flush=True)
    return 0 if figures["right"] == figures["tries"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
