"""Users with 0, 1, 3 and 5 events: the online learner with its layer for newcomers and without it.

The protocol is `tidemill evaluate`'s (`learner/prequential.py`), row `online`; the transformer,
the taste prototypes and the adapted head learn the first 85 % of the history. Users are counted
by how many past events the learner sees; intervals are paired, by drawing users.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from infra.evaluation_run import load_catalogue, load_events
from learner.config import LearnerConfig
from learner.drift_river import default_detectors
from learner.evaluation_learner import Course, play_learner
from learner.evaluation_log import Protocol, examples_of, record
from learner.meta.config import MetaConfig
from learner.ranking_metrics import bootstrap_interval, gains
from stream.events import Event
from stream.formats import open_log

GROUPS = {"0": (0, 0), "1": (1, 1), "3": (3, 3), "5": (5, 5), "0 to 5": (0, 5), "more": (6, 10**9)}


def play(
    events: Sequence[Event], catalog: Catalog, protocol: Protocol, few: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int32]]:
    """NDCG@10, known past events, and user of each streamed event."""
    log = record(events, catalog, protocol)
    config = LearnerConfig(meta=MetaConfig(few=few))
    course = Course(log, catalog, config, default_detectors, lambda *_: None)
    rank_N = play_learner(["online"], course)["online"].rank_N
    past = [len(e.history) for e in examples_of(log.events, config.model.steps, rule=log.rule)]
    return gains(rank_N), np.array(past[log.split :]), log.columns.user[log.split :]


def main(arguments: Sequence[str]) -> None:
    """Print a line for each group of users."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="amazon_office_2018_titles")
    parser.add_argument("--few", type=int, default=1, help="users with fewer events have the layer")
    parser.add_argument("--last", type=int, help="take only the last events of the log")
    parser.add_argument("--stream-max", type=int, help="count only so many events")
    parser.add_argument("--histories", choices=["auto", "event", "instant"], default="auto")
    parser.add_argument("--json", action="store_true", help="a JSON line per group")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    log, config = open_log(Path(os.environ["TIDEMILL_DATA"]) / asked.data), LearnerConfig()
    events = load_events(log, asked.last)
    catalog = load_catalogue(log, events, config)
    rule: Literal["auto", "event", "instant"] = asked.histories
    protocol = Protocol(histories=rule, stream_max=asked.stream_max)
    without_N, past_N, user_N = play(events, catalog, protocol, few=0)
    with_N, _, _ = play(events, catalog, protocol, few=asked.few)
    for name, (low, high) in GROUPS.items():
        kept = (past_N >= low) & (past_N <= high)
        if not kept.any():
            continue
        before, after = float(without_N[kept].mean()), float(with_N[kept].mean())
        ends = bootstrap_interval((with_N - without_N)[kept], user_N[kept])
        found = {"events": int(kept.sum()), "users": len(np.unique(user_N[kept]))}
        figures = {"without": before, "with": after, "ratio": after / before if before else None}
        line = {"past events": name, **found, **figures, "difference_ci95": ends}
        if asked.json:
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        else:
            sys.stdout.write("  ".join(f"{key} {value}" for key, value in line.items()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
