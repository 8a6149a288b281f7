"""A new shop that starts with what another's learner knows, beside one that starts from nothing.

One log is learnt as it flows, and kept as a checkpoint. Of the other, the first events are ranked
and learnt from an empty history on, with `learner.start` and without. The interval is of the ratio
of NDCG@10, by users. A log that starts with what was learnt of its own last events (`--pair X X`)
says what the best of weights would be worth.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from features.catalog import Catalog
from infra.evaluation_run import load_catalogue, load_events
from learner.config import LearnerConfig
from learner.evaluation_learner import learn_and_admit
from learner.evaluation_log import Protocol, examples_of
from learner.online import OnlineLearner
from learner.prequential import evaluate
from learner.ranking_metrics import bootstrap_interval
from learner.snapshot import Snapshots
from learner.state import save_learner
from stream.events import Event, json_encode
from stream.formats import open_log

PAIRS = (
    ("yoochoose_clicks", "serenade_bol_sample_clicks"),
    ("amazon_digital_music_2014_head", "amazon_musical_instruments_2014"),
)
BATCH = 64


class Line(msgspec.Struct, frozen=True):
    """What one pair of logs gave."""

    source: str
    target: str
    events: int
    ndcg10_without: float
    ndcg10_with: float
    popularity: float
    ratio: float
    low: float
    high: float


def read(
    folder: Path, name: str, config: LearnerConfig, last: int | None
) -> tuple[list[Event], Catalog]:
    """The events of a log, and what its items say."""
    log = open_log(folder / name)
    events = load_events(log, last)
    return events, load_catalogue(log, events, config)


def learnt(events: Sequence[Event], catalog: Catalog, config: LearnerConfig) -> OnlineLearner:
    """A learner that has followed a log."""
    learner = OnlineLearner(catalog, config)
    examples = list(examples_of(events, config.model.steps))
    for start in range(0, len(examples), config.train.batch):
        batch = examples[start : start + config.train.batch]
        learn_and_admit(learner, batch)
        sys.stderr.write(f"\r{start + len(batch):,} of {len(examples):,} learnt")
    sys.stderr.write("\n")
    return learner


def measure(folder: Path, pair: tuple[str, str], asked: argparse.Namespace) -> Line:
    """Learn the first log, then start the second with and without it."""
    config = LearnerConfig(device="cpu")
    events, catalog = read(folder, pair[0], config, asked.last)
    learner = learnt(events, catalog, config)
    with tempfile.TemporaryDirectory() as kept:
        snapshots = Snapshots(Path(kept), keep=1)
        snapshots.write(1, save_learner(learner))
        target, items = read(folder, pair[1], config, None)
        gains = {}
        for start in ("", str(snapshots.path(1))):
            found = evaluate(
                target,
                items,
                ("popularity", "online"),
                protocol=Protocol(history=0.0, batch=BATCH, stream_max=asked.events, repeat=True),
                config=msgspec.structs.replace(config, start=start),
            )
            gains[bool(start)] = found.gains["online"]
    without, with_it = gains[False], gains[True]
    usual = without.mean()
    low, high = bootstrap_interval((with_it - without) / usual, found.user)
    return Line(
        *pair,
        len(without),
        round(float(usual), 4),
        round(float(with_it.mean()), 4),
        round(float(found.gains["popularity"].mean()), 4),
        round(float(with_it.mean() / usual), 3),
        round(1 + low, 3),
        round(1 + high, 3),
    )


def main(arguments: Sequence[str]) -> int:
    """Print a line for each pair of logs that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--last", type=int, default=30_000, help="events of the first log")
    parser.add_argument(
        "--pair",
        nargs=2,
        metavar=("SOURCE", "TARGET"),
        help="two logs; the same: its own later self",
    )
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    folder = Path(os.environ.get("TIDEMILL_DATA", ""))
    torch.set_num_threads(1)
    pairs = [tuple(asked.pair)] if asked.pair else PAIRS
    for pair in pairs:
        if not all((folder / name).is_dir() for name in pair):
            sys.stderr.write(f"{' and '.join(pair)}: not in TIDEMILL_DATA\n")
            continue
        line = measure(folder, pair, asked)
        text = json_encode(line).decode() if asked.json else str(line)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
