"""The learner beside every baseline on six recorded logs: `tidemill evaluate` for each, one table.

Reads the logs under TIDEMILL_DATA, one process a log; a log that isn't there is left out with a
word. The full table of each log goes to standard error as it comes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from learner.baselines.lineup import FAMILIES

LOGS = {
    "uci_online_retail": ("--last", "150000"),
    "yoochoose_clicks": ("--last", "300000"),
    "serenade_bol_sample_clicks": (),
    "amazon_musical_instruments_2014": (),
    "movielens_100k": (),
    "amazon_office_2018_titles": (),
}
"""The logs, and which part of each is played."""

BESIDE = ("stacking", "no-transformer", "frozen", "retrained-daily")


class Line(msgspec.Struct):
    """A row of `tidemill evaluate --json`."""

    model: str
    hr10: float
    ndcg10: float
    cold_item_hr10: float | None
    cold_item_share: float
    train_s: float | None


class Found(msgspec.Struct):
    """The last line of `tidemill evaluate --json`."""

    data: str
    events: int
    streamed: int
    items: int
    rows: list[Line]

    def row(self, model: str) -> Line:
        """One model's figures."""
        return next(row for row in self.rows if row.model == model)

    @property
    def best(self) -> Line:
        """The best baseline."""
        return max((r for r in self.rows if r.model in FAMILIES), key=lambda r: r.ndcg10)

    def ratios(self) -> dict[str, float]:
        """What `online` is worth beside each of the others."""
        online = self.row("online").ndcg10
        return {"best": online / self.best.ndcg10} | {
            name: online / self.row(name).ndcg10 for name in BESIDE
        }

    def compute(self) -> float:
        """Seconds of training, as a share of those of retraining daily."""
        return (self.row("online").train_s or 0.0) / (self.row("retrained-daily").train_s or 1.0)

    def cold_over_warm(self) -> float | None:
        """HR@10 of items that the history doesn't have over that of the others."""
        online = self.row("online")
        share, cold = online.cold_item_share, online.cold_item_hr10
        if cold is None or not share:
            return None
        return cold * (1 - share) / (online.hr10 - share * cold)


def play(folder: Path, name: str, asked: argparse.Namespace) -> Found:
    """Evaluate on one log in a process of its own."""
    command = [sys.executable, "-m", "infra.cli", "evaluate", str(folder / name), *LOGS[name]]
    command += ["--seeds", str(asked.seeds), "--stream-max", str(asked.stream_max), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    sys.stderr.write(done.stdout)
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Found)


def table(found: Sequence[Found]) -> str:
    """All logs as a Markdown table of NDCG@10 and its ratios."""
    heading = ["data", "best baseline", *BESIDE, "online", "/ best baseline"]
    heading += [f"/ {name}" for name in BESIDE]
    heading += ["training / retraining daily", "HR@10 of cold / warm items"]
    lines = ["| " + " | ".join(heading) + " |", "|---" * len(heading) + "|"]
    for one in found:
        ratios, cold = one.ratios(), one.cold_over_warm()
        cells = [one.data, f"{one.best.ndcg10:.4f} ({one.best.model})"]
        cells += [f"{one.row(name).ndcg10:.4f}" for name in (*BESIDE, "online")]
        cells += [f"{ratio:.3f}" for ratio in ratios.values()]
        cells += [f"{one.compute():.2f}", "–" if cold is None else f"{cold:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Evaluate on the logs that are there, then compare."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: TIDEMILL_DATA=logs python -m tests.bench quality --stream-max 10000",
    )
    parser.add_argument("--data", nargs="+", choices=[*LOGS], default=[*LOGS])
    parser.add_argument("--stream-max", type=int, default=10_000, help="events counted per log")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="a JSON line per log, not a table")
    asked = parser.parse_args(arguments)
    folder = Path(os.environ.get("TIDEMILL_DATA", "-"))
    there = [name for name in asked.data if (folder / name).is_dir()]
    for name in sorted(set(asked.data) - set(there)):
        sys.stderr.write(f"{name} is not in TIDEMILL_DATA={folder}: left out\n")
    found = []
    for name in there:
        began = time.perf_counter()
        found.append(play(folder, name, asked))
        sys.stderr.write(f"{name}: {time.perf_counter() - began:.0f} s\n")
        if asked.json:
            one = found[-1]
            line = {"data": name, "ndcg10": one.row("online").ndcg10, "ratios": one.ratios()}
            line |= {"compute": one.compute(), "cold_over_warm": one.cold_over_warm()}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
            sys.stdout.flush()
    if not asked.json:
        sys.stdout.write(table(found) + "\n")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
