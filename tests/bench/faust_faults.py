"""Three faults of Faust, provoked on real Kafka again and again, and what the broker says after.

`tests.faults.faust_tries` tells what is done in one try. With `--stock`, the same is done to Faust
as it comes, without our transport: that it fails shows that the tries can fail.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from infra.broker import EmbeddedKafka
from stream.connect import KafkaConfig
from tests.faults.faust_tries import FAULTS, attempt
from tests.faults.forked import preload


def main(arguments: Sequence[str]) -> int:
    """Print what went wrong, and the figures as the last line."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--tries", type=int, default=40, help="of each fault")
    parser.add_argument("--seed", type=int, default=0, help="of the first try")
    parser.add_argument("--stock", action="store_true", help="Faust as it comes")
    parser.add_argument("--json", action="store_true", help="figures as one JSON line only")
    given = parser.parse_args(arguments)
    preload("tests.faults.faust_worker")
    right = dict.fromkeys(FAULTS, 0)
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name, EmbeddedKafka(Path(name) / "kafka") as broker:
        kafka = KafkaConfig(bootstrap_servers=broker.bootstrap_servers)
        for seed in range(given.seed, given.seed + given.tries):
            for fault in FAULTS:
                folder = Path(name) / f"{fault}-{seed}"
                wrong = attempt(kafka, fault, seed, folder, stock=given.stock)
                right[fault] += not wrong
                if wrong and not given.json:
                    print(f"{fault}, seed {seed}: {wrong}", flush=True)
    figures = {
        "on": "faust as it comes" if given.stock else "runs://",
        "tries": given.tries * len(FAULTS),
        "right": sum(right.values()),
        **{f"right_{fault.replace('-', '_')}": count for fault, count in right.items()},
        "seconds": round(time.monotonic() - started_s, 1),
    }
    print(json.dumps(figures), flush=True)
    return 0 if given.stock or figures["right"] == figures["tries"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
