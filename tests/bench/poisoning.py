"""What accounts that attack bring to honest users' lists, with and without the defence.

A learner learns the first half of a log; in the other half, an attack's events stand between the
honest ones (`tests.bench._attacks`), such a share of all. Before each micro-batch is learnt, its
honest events are ranked. `exposure` is the share of honest users' top ten that hold the target, in
the last half of the attack, divided by the same without the attack. `ndcg10` is what honest events
are ranked at, divided by the same without the attack, event by event; its interval draws users.
The target stands where so much of all places in the lists go to items that are shown less.

`shop` is the simulated shop at a small shop's pace; other names are logs under TIDEMILL_DATA.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from infra.evaluation_run import load_catalogue, load_events
from learner.batch import histories_of
from learner.config import CleaningConfig, EncoderConfig, LearnerConfig, TrustConfig
from learner.encoder import TextEncoder
from learner.evaluation_learner import admit_unknown
from learner.evaluation_log import examples_of
from learner.measures import MISS, ranks
from learner.online import OnlineLearner
from learner.ranking_metrics import bootstrap_interval, gains
from stream.events import Event, Example, json_encode
from stream.formats import open_log
from stream.shop import Shop, ShopConfig
from tests.bench._attacks import ATTACKS, attacked
from tests.bench.shop import shop_catalogue

TOP = 10
GAP_MS = 20_000.0
"""Between two events of the simulated shop: at the demo's pace, a week's attack lasts minutes."""


class Shown(NamedTuple):
    """What honest users saw: the worth of each event, and the top ten before it."""

    gain_N: NDArray[np.float64]
    top_NK: NDArray[np.int32]
    catalog: Catalog

    def exposure(self, item_id: str) -> float:
        """The share of the last half of the lists that hold an item."""
        row = self.catalog.row(item_id)
        late_NK = self.top_NK[len(self.top_NK) // 2 :]
        return float((late_NK == row).any(axis=1).mean())

    def at_share(self, share: float) -> str:
        """The item up to which such a share of all places goes to items that are shown less."""
        late = self.top_NK[len(self.top_NK) // 2 :]
        count_I = np.bincount(late[late >= 0])
        order = np.argsort(count_I, kind="stable")
        place = np.searchsorted(np.cumsum(count_I[order]), share * count_I.sum())
        return self.catalog.item(int(order[place])).item_id


class Outcome(NamedTuple):
    """What an attack did, as ratios to what is without it."""

    exposure: float
    ndcg10: float
    interval: tuple[float, float]


class Field:
    """A learner that has learnt the first half of a log, and what honest users see in the other."""

    def __init__(self, events: Sequence[Event], catalog: Catalog, config: LearnerConfig) -> None:
        half = len(events) // 2
        self.seen, self.honest = events[:half], events[half:]
        self.learner = OnlineLearner(copy.deepcopy(catalog), config)
        examples = list(examples_of(self.seen, config.model.steps))
        for at in range(0, half, config.train.batch):
            _learn(self.learner, examples[at : at + config.train.batch])
        self.calm = self.play(self.honest, [True] * len(self.honest))
        users = [event.user_id for event in self.honest]
        self._user_N = np.unique(users, return_inverse=True)[1].astype(np.int32)

    def target(self, share: float) -> str:
        """The item at a share of the places in calm lists."""
        return self.calm.at_share(share)

    def play(self, events: Sequence[Event], honest: Sequence[bool]) -> Shown:
        """Let a copy of the learner rank what is honest, then learn everything."""
        learner = copy.deepcopy(self.learner)
        made = list(examples_of([*self.seen, *events], learner.config.model.steps))
        examples = made[len(self.seen) :]
        gain: list[NDArray[np.float64]] = []
        top: list[NDArray[np.int32]] = []
        size = learner.config.train.batch
        for at in range(0, len(examples), size):
            batch = examples[at : at + size]
            mine = [e for e, is_honest in zip(batch, honest[at:], strict=False) if is_honest]
            if mine:
                gain_N, top_NK = _show(learner, mine)
                gain.append(gain_N)
                top.append(top_NK)
            _learn(learner, batch)
        return Shown(np.concatenate(gain), np.concatenate(top), learner.catalog)

    def attack(self, name: str, target: str, share: float) -> Outcome:
        """Play an attack."""
        shown = self.play(*attacked(self.honest, self.seen, name, target, share))
        calm = float(self.calm.gain_N.mean())
        low, high = bootstrap_interval(shown.gain_N - self.calm.gain_N, self._user_N)
        return Outcome(
            shown.exposure(target) / max(self.calm.exposure(target), 1e-9),
            float(shown.gain_N.mean()) / calm,
            (1.0 + low / calm, 1.0 + high / calm),
        )

    def compared_to(self, other: Field) -> tuple[float, tuple[float, float]]:
        """What calm lists are worth here, divided by what they are worth there."""
        calm = float(other.calm.gain_N.mean())
        low, high = bootstrap_interval(self.calm.gain_N - other.calm.gain_N, self._user_N)
        return float(self.calm.gain_N.mean()) / calm, (1.0 + low / calm, 1.0 + high / calm)


def _learn(learner: OnlineLearner, batch: Sequence[Example]) -> None:
    if learner.learn_many(batch).unknown:
        admit_unknown(learner.catalog, batch)
        learner.count_late()


def _show(
    learner: OnlineLearner, examples: Sequence[Example]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    ranker = learner.ranker
    target_N = ranker.catalog.rows(example.item_id for example in examples)
    past = histories_of(ranker.catalog, examples, ranker.config.model.steps)
    rank_N = np.full(len(examples), MISS)
    top_NK = np.full((len(examples), TOP), -1, np.int32)
    for part, scored in ranker.score_many(past, target_B=target_N):
        rank_N[part] = ranks(scored.score_BK, scored.real_BK, scored.target_B)
        score_BK = np.where(scored.real_BK, scored.score_BK, -np.inf)
        at_BK = np.argsort(-score_BK, axis=1, kind="stable")[:, :TOP]
        take = np.take_along_axis
        rows_BK = np.where(take(scored.real_BK, at_BK, 1), take(scored.rows_BK, at_BK, 1), -1)
        top_NK[part, : rows_BK.shape[1]] = rows_BK
    return gains(np.where(target_N >= 0, rank_N, MISS)), top_NK


def settings(*, on: bool, transformer: bool, batch: int, cleaning: bool = True) -> LearnerConfig:
    """The learner's settings, with the defence or without, cleaned of noise or not."""
    config = LearnerConfig(device="cpu", encoder=EncoderConfig(device="cpu"))
    return msgspec.structs.replace(
        config,
        model=msgspec.structs.replace(config.model, transformer=transformer),
        train=msgspec.structs.replace(config.train, batch=batch),
        trust=TrustConfig(on=on),
        cleaning=CleaningConfig(on=cleaning),
    )


def log_of(name: str, count: int, config: LearnerConfig) -> tuple[list[Event], Catalog]:
    """The first events of a log or of the simulated shop, without bots, and the items' texts."""
    encoder = TextEncoder(config.encoder)
    if name == "shop":
        shop = Shop(1, ShopConfig(bot_share=0.0, mean_gap_ms=GAP_MS))
        events = shop.clean_events(count)
        return events, shop_catalogue(shop, encoder, config.encoder.width)
    log = open_log(Path(os.environ["TIDEMILL_DATA"]) / name)
    events = load_events(log)[:count]
    return events, load_catalogue(log, events, config, lambda: encoder)


def main(arguments: Sequence[str]) -> None:
    """Print a line for each log, share of bots, attack and defence."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["shop"])
    parser.add_argument("--events", type=int, default=12_000, help="half of them are attacked")
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1], help="of events")
    parser.add_argument("--target", type=float, nargs="+", default=[0.3], help="where it stands")
    parser.add_argument("--item", help="the target, instead of one by its place")
    parser.add_argument("--batch", type=int, default=64, help="events learnt together")
    parser.add_argument("--transformer", action="store_true", help="four times slower")
    parser.add_argument("--no-cleaning", action="store_true", help="echoes and haste teach, too")
    parser.add_argument("--quick", action="store_true", help="4,000 events, three attacks")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.events, asked.attacks = 4_000, ["one bot", "click farm", "crowding"]
    torch.set_num_threads(1)

    def say(line: dict[str, object]) -> None:
        words = "  ".join(f"{key} {value}" for key, value in line.items())
        sys.stdout.write((json_encode(line).decode() if asked.json else words) + "\n")
        sys.stdout.flush()

    for name in asked.data:
        configs = [
            settings(
                on=on,
                transformer=asked.transformer,
                batch=asked.batch,
                cleaning=not asked.no_cleaning,
            )
            for on in (False, True)
        ]
        events, catalog = log_of(name, asked.events, configs[0])
        off, on = (Field(events, catalog, config) for config in configs)
        ratio, interval = on.compared_to(off)
        say(
            {"data": name, "attack": "none", "defence": "on"}
            | {"ndcg10_over_off": round(ratio, 4), "from_to": _rounded(interval)}
        )
        for place in asked.target:
            target = asked.item or off.target(place)
            for share in asked.shares:
                for attack in asked.attacks:
                    for label, field in (("off", off), ("on", on)):
                        found = field.attack(attack, target, share)
                        say(
                            {"data": name, "share": share, "attack": attack, "target": target}
                            | {"defence": label, "exposure": round(found.exposure, 2)}
                            | {"ndcg10": round(found.ndcg10, 4)}
                            | {"from_to": _rounded(found.interval)}
                        )


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(edge, 4) for edge in interval]


if __name__ == "__main__":
    main(sys.argv[1:])
