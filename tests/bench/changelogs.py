"""Changelogs and disks of a table damaged in a dozen ways, and how fast large tables come back.

`tests.faults.changelog_cases` tells the cases. Recovery is measured on a lost disk: the role
starts, reads its whole changelog, and is ready; once more with its disk there.
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
from tests.faults.changelog_cases import CASES, Kept, rows, run_case
from tests.faults.forked import preload

SIZES = (10_000, 100_000, 500_000)


def main(arguments: Sequence[str]) -> int:
    """Print what went wrong, and the figures as the last line."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--keys", type=int, nargs="*", default=SIZES, help="rows of large tables")
    parser.add_argument("--row-bytes", type=int, default=500, help="of each row's value")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=CASES)
    parser.add_argument("--json", action="store_true", help="figures as one JSON line only")
    given = parser.parse_args(arguments)
    preload("tests.faults.table_worker")
    started_s = time.monotonic()
    right = 0
    recovery = []
    with tempfile.TemporaryDirectory() as name, EmbeddedKafka(Path(name) / "kafka") as broker:
        kafka = KafkaConfig(bootstrap_servers=broker.bootstrap_servers)
        for case in given.cases:
            wrong = run_case(case, kafka, Path(name) / case)
            right += not wrong
            if wrong and not given.json:
                print(f"{case}: {wrong}", flush=True)
        for count in given.keys:
            found = recover(kafka, Path(name) / str(count), count, given.row_bytes)
            recovery.append(found)
            if not given.json:
                print(json.dumps(found), flush=True)
    good = right == len(given.cases) and all(one["all_rows"] for one in recovery)
    figures: dict[str, object] = {
        "cases": len(given.cases),
        "right": right,
        "recovery": recovery,
        "seconds": round(time.monotonic() - started_s, 1),
    }
    print(json.dumps(figures), flush=True)
    return 0 if good else 1


def recover(kafka: KafkaConfig, folder: Path, count: int, row_bytes: int) -> dict[str, float]:
    """Start on a full changelog without a disk, then with it."""
    kept = Kept(kafka, folder)
    size = kept.write(rows(count, row_bytes))
    first, _ = kept.start()
    again, _ = kept.start()
    seconds = first.ready.seconds if first.ready else float("nan")
    return {
        "keys": count,
        "bytes": size,
        "ready_s": round(seconds, 2),
        "cpu_s": round(first.ready.cpu_s, 2) if first.ready else float("nan"),
        "keys_per_s": round(count / seconds) if first.ready else 0,
        "bytes_per_s": round(size / seconds) if first.ready else 0,
        "ready_with_disk_s": round(again.ready.seconds, 2) if again.ready else float("nan"),
        "all_rows": kept.has_all(first) and kept.has_all(again),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
