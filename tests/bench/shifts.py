"""Planted shifts on the simulated shop: single shoppers', and a season that moves most of them.

Of each seed two shops are played. `users`: shoppers whose interest moves, one by one, and the
profiles that have to notice. `season`: the learner before and after an abrupt change for everyone,
when it sounds its alarm, how deep NDCG@10 falls and how soon it is back. `calm`: the learner
without any season; every alarm is false, as are those before a season and later than 1,000 events
after it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from features.interest import InterestConfig
from learner.catalogue import Encodes
from learner.config import EncoderConfig, LearnerConfig
from learner.drift_river import default_detectors
from learner.encoder import TextEncoder
from learner.evaluation_log import examples_of
from learner.online import OnlineLearner
from learner.ranking_metrics import gains
from stream.events import Event, json_encode
from stream.shop import Shop, ShopConfig
from tests.bench._shift_users import Found, measure_users
from tests.bench.shop import BATCH, shop_catalogue

WINDOW = 500
"""Events whose mean NDCG@10 is one value: with fewer, chance alone moves it by a tenth."""

USUAL = 2_000
"""Events before the change that say what NDCG@10 was."""

ECHO = 1_000
"""Events after a change in which an alarm is about it."""


@dataclass(frozen=True)
class Course:
    """What the learner did: NDCG@10 by event, and the events at whose end an alarm was sounded."""

    gain_N: NDArray[np.float64]
    alarms: tuple[int, ...]


class Remembering:
    """An encoder that encodes each text once: the shops of a seed share nearly all items."""

    def __init__(self, encoder: Encodes) -> None:
        self.name = encoder.name
        self._encoder = encoder
        self._known: dict[str, NDArray[np.float16]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Texts to vectors."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= dict(zip(new, self._encoder.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def play(
    log: Sequence[Event], catalog: Catalog, config: LearnerConfig, batch: int = BATCH
) -> Course:
    """Let the learner rank, then learn, a log."""
    train = msgspec.structs.replace(config.train, batch=batch)
    config = msgspec.structs.replace(config, train=train)
    learner = OnlineLearner(catalog, config, default_detectors())
    examples = list(examples_of(log, config.model.steps))
    gain, alarms = [np.zeros(0)], list[int]()
    for start in range(0, len(examples), batch):
        report = learner.learn_many(examples[start : start + batch])
        gain.append(gains(report.rank_N))
        if report.signals:
            alarms.append(start + report.examples)
    return Course(np.concatenate(gain), tuple(alarms))


def season_figures(course: Course, at: int) -> dict[str, float]:
    """What a change after `at` events did.

    `delay` is -1 where no alarm came; `back_after` is the end of the first window of 500 events,
    counted from the change, from which on NDCG@10 is at 90 % of what it was, in that window and in
    all that follows; -1 where there is none.
    """
    before = float(course.gain_N[at - USUAL : at].mean())
    after_N = course.gain_N[at:]
    starts = range(0, len(after_N) - WINDOW + 1, 50)
    means = [float(after_N[n : n + WINDOW].mean()) for n in starts]
    back = [
        n + WINDOW
        for n, mean in zip(starts, means, strict=True)
        if min(mean, float(after_N[n:].mean())) >= 0.9 * before
    ]
    delays = [alarm - at for alarm in course.alarms if at < alarm <= at + ECHO]
    return {
        "delay": delays[0] if delays else -1,
        "ndcg10_before": round(before, 4),
        "ndcg10_lowest": round(min(means), 4),
        "ndcg10_after": round(float(after_N[-USUAL:].mean()), 4),
        "back_after": back[0] if back else -1,
        "false_alarms": sum(not at < alarm <= at + ECHO for alarm in course.alarms),
    }


def change_at(log: Sequence[Event], season_at: int) -> int:
    """The place in a log, bots' events included, at which shoppers' event `season_at` is done."""
    shoppers_N = np.cumsum([not event.user_id.startswith("bot-") for event in log])
    return int(np.searchsorted(shoppers_N, season_at)) + 1


def shop_log(
    seed: int, events: int, encoder: Encodes, width: int, config: ShopConfig
) -> tuple[Shop, list[Event], Catalog]:
    """A shop after its first events, these, and its catalogue."""
    shop = Shop(seed, config)
    log = shop.clean_events(events)
    return shop, log, shop_catalogue(shop, encoder, width)


def main(arguments: Sequence[str]) -> None:
    """Print a line for each seed, then one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--before", type=int, default=6_000, help="events before the season")
    parser.add_argument("--after", type=int, default=4_000, help="events after it")
    parser.add_argument("--calm", type=int, default=10_000, help="events without a season")
    parser.add_argument("--parts", nargs="+", default=["users", "season", "calm"])
    parser.add_argument("--no-transformer", action="store_true", help="four times faster")
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = LearnerConfig(device="cpu")
    if asked.no_transformer:
        model = msgspec.structs.replace(config.model, transformer=False)
        config = msgspec.structs.replace(config, model=model)
    encoder, width = Remembering(TextEncoder(EncoderConfig(device="cpu"))), config.encoder.width
    of_shop = ShopConfig(language=asked.language)
    found, seasons, calm_alarms, calm_events = Found(), list[dict[str, float]](), 0, 0
    for seed in asked.seeds:
        began, line = time.perf_counter(), dict[str, object]()
        own = msgspec.structs.replace(config, seed=seed)
        if "users" in asked.parts or "calm" in asked.parts:
            shop, log, catalog = shop_log(seed, asked.calm, encoder, width, of_shop)
            if "users" in asked.parts:
                measure_users(shop, log, catalog, found, InterestConfig())
                line |= {f"{name}_so_far": value for name, value in found.figures().items()}
            if "calm" in asked.parts:
                alarms = len(play(log, catalog, own).alarms)
                line["calm_alarms"] = alarms
                calm_alarms += alarms
                calm_events += len(log)
        if "season" in asked.parts:
            events = asked.before + asked.after
            _, log, catalog = shop_log(
                seed,
                events,
                encoder,
                width,
                msgspec.structs.replace(of_shop, season_at=asked.before),
            )
            course = play(log, catalog, own)
            seasons.append(season_figures(course, change_at(log, asked.before)))
            line |= seasons[-1]
            calm_alarms += int(seasons[-1]["false_alarms"])
            calm_events += len(log) - ECHO
        _say(asked.json, {"seed": seed, "seconds": round(time.perf_counter() - began, 1)} | line)
    total: dict[str, object] = {"seeds": len(asked.seeds)}
    if "users" in asked.parts:
        total |= found.figures()
    if seasons:
        for name in seasons[0]:
            total[name] = round(float(np.median([season[name] for season in seasons])), 4)
        total["delays"] = [season["delay"] for season in seasons]
        total["backs_after"] = [season["back_after"] for season in seasons]
    if calm_events:
        total |= {
            "false_alarms": calm_alarms,
            "false_alarms_per_10000": round(1e4 * calm_alarms / calm_events, 2),
        }
    _say(asked.json, total)


def _say(as_json: bool, line: dict[str, object]) -> None:
    text = json_encode(line).decode() if as_json else "  ".join(f"{k} {v}" for k, v in line.items())
    print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
