"""What the response to drift is worth: the learner with its detectors, and the same without them.

`shop` is the simulated shop with a season in the middle, an abrupt change for four shoppers of
five; recorded logs drift as they do, season and weeks. Events are ranked before they are learnt,
and counted from the season on, or in the last 60 % of a log.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from infra.evaluation_run import load_catalogue, load_events
from learner.config import EncoderConfig, LearnerConfig
from learner.drift_river import default_detectors
from learner.encoder import TextEncoder
from learner.evaluation_learner import admit_unknown
from learner.evaluation_log import examples_of
from learner.online import OnlineLearner
from learner.ranking_metrics import bootstrap_interval, gains
from stream.events import Event, json_encode
from stream.formats import open_log
from stream.shop import Shop, ShopConfig
from tests.bench.shop import shop_catalogue

AFTER = (500, 1_000, 2_000)
"""Events after the season at which a mean over the newest of them is taken."""


class Log(NamedTuple):
    """Events, their catalogue, and where counting begins."""

    events: list[Event]
    catalog: Catalog
    start: int


class Played(NamedTuple):
    """What one learner did."""

    gain_N: NDArray[np.float64]
    signals: list[tuple[int, str]]
    seconds: float


def shop(seed: int, events: int, config: LearnerConfig, encoder: TextEncoder) -> Log:
    """A simulated shop whose season begins after 60 % of the events."""
    start = int(events * 0.6)
    made = Shop(seed, ShopConfig(season_at=start))
    log = made.clean_events(events)
    return Log(log, shop_catalogue(made, encoder, config.encoder.width), start)


def recorded(
    name: str, events: int, share: float, config: LearnerConfig, encoder: TextEncoder
) -> Log:
    """Users of a recorded log, as many as make so many events, over its whole first share."""
    log = open_log(Path(os.environ["TIDEMILL_DATA"]) / name)
    everything = load_events(log)
    everything = everything[: int(len(everything) * share)]
    every = max(1, len(everything) // events)
    users = sorted({event.user_id for event in everything})
    kept = set(users[::every])
    some = [event for event in everything if event.user_id in kept]
    catalog = load_catalogue(log, some, config, lambda: encoder)
    return Log(some, catalog, int(len(some) * 0.4))


def play(log: Log, config: LearnerConfig, *, responds: bool) -> Played:
    """Play a log to a learner, with its response or without."""
    catalog = Catalog(log.catalog.width)
    catalog.upsert([log.catalog.item(row) for row in range(len(log.catalog))])
    learner = OnlineLearner(catalog, config, default_detectors() if responds else ())
    examples = list(examples_of(log.events, config.model.steps))
    began = time.perf_counter()
    found, signals = [np.zeros(0)], list[tuple[int, str]]()
    for at in range(0, len(examples), config.train.batch):
        batch = examples[at : at + config.train.batch]
        report = learner.learn_many(batch)
        if report.unknown:
            admit_unknown(catalog, batch)
            learner.count_late()
        found.append(gains(report.rank_N))
        signals += [(at, name) for name in report.signals]
    return Played(np.concatenate(found), signals, time.perf_counter() - began)


def line(name: str, log: Log, plain: Played, responding: Played) -> dict[str, object]:
    """Both learners' figures, and the interval of their difference."""
    counted = slice(log.start, None)
    users = {event.user_id: n for n, event in enumerate(log.events)}
    user_N = np.array([users[event.user_id] for event in log.events[counted]], np.int32)
    lead = bootstrap_interval(responding.gain_N[counted] - plain.gain_N[counted], user_N)
    said: dict[str, object] = {
        "data": name,
        "events": len(log.events),
        "without": round(float(plain.gain_N[counted].mean()), 4),
        "with": round(float(responding.gain_N[counted].mean()), 4),
        "lead_ci95": [round(end, 4) for end in lead],
        "signals": len(responding.signals),
    }
    if name.startswith("shop"):
        for which, played in (("without", plain), ("with", responding)):
            gain_N = played.gain_N
            before = gain_N[max(0, log.start - 2_000) : log.start].mean()
            steps = [before]
            steps += [
                gain_N[log.start + a : log.start + b].mean()
                for a, b in zip((0, *AFTER[:-1]), AFTER, strict=True)
            ]
            said[f"{which}_before_and_to_{'_'.join(map(str, AFTER))}"] = [
                round(float(step), 4) for step in steps
            ]
        said["first_signals"] = [s for s in responding.signals if s[0] >= log.start][:3]
    return said


def main(arguments: Sequence[str]) -> None:
    """Print a line for each log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", nargs="+", default=["shop", "uci_online_retail", "yoochoose_clicks"]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the shop")
    parser.add_argument("--events", type=int, default=9_000, help="of the shop")
    parser.add_argument("--recorded", type=int, default=25_000, help="events of a recorded log")
    parser.add_argument("--of", type=float, default=1.0, help="of the first share of a log")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = LearnerConfig(device="cpu", encoder=EncoderConfig(device="cpu"))
    train = msgspec.structs.replace(config.train, batch=asked.batch)
    config = msgspec.structs.replace(config, train=train)
    encoder = TextEncoder(config.encoder)
    for name in asked.data:
        for seed in asked.seeds if name == "shop" else [0]:
            if name == "shop":
                log = shop(seed, asked.events, config, encoder)
            else:
                log = recorded(name, asked.recorded, asked.of, config, encoder)
            plain = play(log, config, responds=False)
            responding = play(log, config, responds=True)
            said = line(f"{name} {seed}" if seed else name, log, plain, responding)
            text = json_encode(said).decode() if asked.json else str(said)
            sys.stdout.write(text + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
