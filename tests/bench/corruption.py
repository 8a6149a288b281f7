"""What shoppers see while a stream is corrupted: the live version's NDCG@10, with and without gate.

The middle third of what is streamed is corrupted in one of three ways: `random`, for every honest
event three of a user and an item drawn evenly; `shuffled`, every example's item is that of another
example of the burst; `bot`, one user who clicks one item 10,000 times, spread over the burst.
Profiles see added events too. Versions are cut every so many events and go through the gate, or are
all published, or only the first is (`frozen` since the burst began). What counts is how the live
version ranks honest events by what they truly were, before any of it is learnt.
"""

from __future__ import annotations

import argparse
import copy
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
from learner.gate import Decision
from learner.online import OnlineLearner
from learner.rank_by import rank_by
from learner.ranking_metrics import gains
from learner.referee import Referee, for_serving
from learner.state import save_learner
from stream.events import AdapterVersion, Event, Example, json_encode
from stream.formats import open_log
from tests.bench.shop import shop_catalogue, shop_log

KINDS = ("none", "random", "shuffled", "bot")
WAYS = ("open", "gate", "frozen")
PHASES = ("before", "during", "after")
CLICKS = 10_000
FLOOD = 3
"""Random events for every honest one."""


class Stream(NamedTuple):
    """What is streamed: events, the items that the learner is told, and which events are honest."""

    events: list[Event]
    told: list[str]
    honest_N: NDArray[np.bool_]
    phase_N: NDArray[np.int64]


def corrupted(events: Sequence[Event], items: Sequence[str], kind: str, clicks: int) -> Stream:
    """Corrupt the middle third of events."""
    random = np.random.default_rng(0)
    third = len(events) // 3
    middle = events[third : 2 * third]
    users = sorted({event.user_id for event in middle})
    bot_item = items[int(random.integers(len(items)))]
    added = {"random": float(FLOOD), "bot": clicks / max(1, third)}.get(kind, 0.0)
    out: list[Event] = []
    honest: list[bool] = []
    phase: list[int] = []
    due = 0.0
    for n, event in enumerate(events):
        now = min(n // max(1, third), 2)
        out.append(event)
        due += added if now == 1 else 0.0
        wrong, due = int(due), due - int(due)
        for _ in range(wrong):
            user = "bot" if kind == "bot" else users[int(random.integers(len(users)))]
            item = bot_item if kind == "bot" else items[int(random.integers(len(items)))]
            out.append(msgspec.structs.replace(event, user_id=user, item_id=item))
        honest += [True] + [False] * wrong
        phase += [now] * (1 + wrong)
    told = [event.item_id for event in out]
    if kind == "shuffled":
        other = told[third : 2 * third]
        random.shuffle(other)
        told[third : 2 * third] = other
    return Stream(out, told, np.array(honest), np.array(phase))


class Stand:
    """A learner, its versions, and the one that is live: the role without Kafka and without files.

    Parameters
    ----------
    every
        Examples after which a version is cut.
    """

    def __init__(self, learner: OnlineLearner, *, way: str, every: int) -> None:
        self.learner = learner
        self.referee = Referee(learner, learner.config.train.judged)
        self.decisions: list[Decision] = []
        self.judge_s = 0.0
        self.way = way
        self.frozen = False
        self._every = every
        self._since = 0
        self._cut()

    def feed(self, honest: Sequence[Example], examples: Sequence[Example]) -> NDArray[np.float64]:
        """Rank what is honest as serving does, then learn what was told; the former's ranks."""
        live = self.referee.live
        assert live is not None, "the first version is cut at the start"
        shown = rank_by(live.ranker, honest)
        report = self.learner.learn_many(examples)
        if report.unknown:
            admit_unknown(self.learner.catalog, examples)
            self.learner.count_late()
        if self.way == "gate":
            began = time.perf_counter()
            self.referee.judge(examples, report)
            self.judge_s += time.perf_counter() - began
        self._since += len(examples)
        if self._since >= self._every:
            self._cut()
        return shown

    def _cut(self) -> None:
        self._since = 0
        if self.frozen:
            return
        decision: Decision = self.referee.decide() if self.way == "gate" else "published"
        self.decisions.append(decision)
        if decision == "rolled-back":
            self.referee.roll_back()
        elif decision == "restored":
            self.referee.restore_learner()
        elif decision != "held":
            version = for_serving(save_learner(self.learner), decision)
            self.referee.publish(_announced(len(self.decisions)), version)


def _announced(number: int) -> AdapterVersion:
    return AdapterVersion(
        model="", version=number, path="", sha256="", parent=None, offsets={}, learnt=0,
        created_ms=0,
    )  # fmt: skip


class Outcome(NamedTuple):
    """What one corruption did."""

    ndcg10: dict[str, float]
    decisions: list[Decision]
    judged_share: float


def play(
    learner: OnlineLearner, history: Sequence[Event], stream: Stream, *, way: str, every: int
) -> Outcome:
    """Stream to a copy of a learner that has learnt the history."""
    learner = copy.deepcopy(learner)
    stand = Stand(learner, way=way, every=every)
    made = list(examples_of([*history, *stream.events], learner.config.model.steps))
    examples = made[len(history) :]
    told = [
        msgspec.structs.replace(e, item_id=item)
        for e, item in zip(examples, stream.told, strict=True)
    ]
    size = learner.config.train.batch
    began = time.perf_counter()
    shown: list[NDArray[np.float64]] = []
    for at in range(0, len(examples), size):
        part = slice(at, at + size)
        if stream.phase_N[at] > 0 and way == "frozen":
            stand.frozen = True
        honest = [e for e, h in zip(examples[part], stream.honest_N[part], strict=True) if h]
        shown.append(gains(stand.feed(honest, told[part])))
    seconds = time.perf_counter() - began
    phase_H, gain_H = stream.phase_N[stream.honest_N], np.concatenate(shown)
    ndcg10 = {name: float(gain_H[phase_H == n].mean()) for n, name in enumerate(PHASES)}
    return Outcome(ndcg10, stand.decisions, stand.judge_s / seconds)


def learnt(history: Sequence[Event], catalog: Catalog, config: LearnerConfig) -> OnlineLearner:
    """A learner that has learnt the history."""
    learner = OnlineLearner(catalog, config, default_detectors())
    examples = list(examples_of(history, config.model.steps))
    for at in range(0, len(examples), config.train.batch):
        batch = examples[at : at + config.train.batch]
        learner.learn_many(batch)
        admit_unknown(catalog, batch)
    return learner


def recorded(
    name: str, last: int, share: float, config: LearnerConfig
) -> tuple[list[Event], Catalog]:
    """The last events of a recorded log's first share, and its catalogue."""
    log = open_log(Path(os.environ["TIDEMILL_DATA"]) / name)
    events = load_events(log)
    events = events[: int(len(events) * share)][-last:]
    encoder = TextEncoder(config.encoder)
    return events, load_catalogue(log, events, config, lambda: encoder)


def main(arguments: Sequence[str]) -> None:
    """Print a line for each corruption and each way to publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["shop", "uci_online_retail"])
    parser.add_argument("--events", type=int, default=40_000, help="the last 30 %% are streamed")
    parser.add_argument(
        "--of", type=float, default=1.0, help="of the first share of a recorded log"
    )
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--every", type=int, default=1_024, help="events between two versions")
    parser.add_argument("--clicks", type=int, default=CLICKS, help="of the bot")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = LearnerConfig(device="cpu", encoder=EncoderConfig(device="cpu"))
    for name in asked.data:
        if name == "shop":
            events, shop = shop_log(1, asked.events)
            catalog = shop_catalogue(shop, TextEncoder(config.encoder), config.encoder.width)
        else:
            events, catalog = recorded(name, asked.events, asked.of, config)
        split = int(len(events) * 0.7)
        learner = learnt(events[:split], catalog, config)
        items = [catalog.item(row).item_id for row in range(len(catalog))]
        for kind in asked.kinds:
            stream = corrupted(events[split:], items, kind, asked.clicks)
            for way in asked.ways:
                found = play(learner, events[:split], stream, way=way, every=asked.every)
                line: dict[str, object] = {"data": name, "corruption": kind, "way": way}
                line |= {phase: round(value, 4) for phase, value in found.ndcg10.items()}
                line |= {
                    "decisions": "".join("=" if d == "restored" else d[0] for d in found.decisions),
                    "judging": round(found.judged_share, 3),
                }
                text = json_encode(line).decode() if asked.json else str(line)
                sys.stdout.write(text + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
