"""The baselines' side of an evaluation: families play the log, the best member stands for each.

Legend: `A` arms, `B` events of a micro-batch, `N` streamed events, `I` items.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from learner.baselines.blend import WEIGHTS
from learner.baselines.covisitation import Evidence, NextItem, Window
from learner.baselines.full_ranking import FullRanking, RankingConfig, Scores, rank_targets
from learner.baselines.lineup import Maker, family
from learner.baselines.popularity import HALF_LIVES_DAYS, DecayedCounts, half_life_words
from learner.baselines.protocol import Baseline, Events
from learner.evaluation_log import Recorded

Progress = Callable[[str, int, int], None]
"""Told the row, the events done and all events of this row's run."""

SEEDED = ("bpr", "river")
"""Families that draw numbers: they are played once per seed."""

FLOOR = 0.01
"""What no evidence at all is worth in a blend; the same as `learner.baselines.blend` has."""


@dataclass(frozen=True, slots=True)
class Played:
    """One model's ranks of the streamed events, and what they cost."""

    arm: str
    rank_N: NDArray[np.float64]
    train_s: float
    score_s: float


class Arms(Protocol):
    """One or several models that are ranked side by side."""

    names: tuple[str, ...]

    def admit(self, rows: NDArray[np.int32]) -> None:
        """Make items known that the shop has announced."""

    def rank_arms(self, batch: Events) -> list[NDArray[np.float64]]:
        """Ranks by each arm, (A, B)."""

    def learn(self, batch: Events) -> None:
        """Learn a micro-batch."""


class OneArm:
    """A baseline as a single arm."""

    def __init__(self, model: Baseline) -> None:
        self.model = model
        self.names: tuple[str, ...] = (model.name,)

    def admit(self, rows: NDArray[np.int32]) -> None:
        """Pass it on."""
        if isinstance(self.model, FullRanking):
            self.model.admit(rows)

    def rank_arms(self, batch: Events) -> list[NDArray[np.float64]]:
        """The model's ranks."""
        return [self.model.rank(batch)]

    def learn(self, batch: Events) -> None:
        """Pass it on."""
        self.model.learn(batch)


class BlendGrid(FullRanking):
    """All blends of one kind of evidence at once: counted once, weighed many times.

    The arms are those of the family `blend` of this kind, with the same ranks.
    """

    def __init__(self, config: RankingConfig, kind: str) -> None:
        super().__init__(f"blends with {kind}", config)
        self.evidence: Evidence = (
            NextItem(config.n_items) if kind == "next" else Window(config.n_items)
        )
        self.counts = [DecayedCounts(config.n_items, days) for days in HALF_LIVES_DAYS]
        self.names = tuple(
            f"blend {half_life_words(days)} + {weight:g} {kind}"
            for weight in WEIGHTS
            for days in HALF_LIVES_DAYS
        )

    def score(self, batch: Events, history_BT: NDArray[np.int32]) -> Scores:
        """The logarithm of the evidence, which all arms share."""
        scores_BI = self.evidence.weigh(history_BT)
        scores_BI += np.float32(FLOOR)
        return np.log(scores_BI, out=scores_BI)

    def rank_arms(self, batch: Events) -> list[NDArray[np.float64]]:
        """Ranks by every weight and half-life, (A, B)."""
        log_BI = self.score(batch, self.histories(self.last, batch.user, batch))
        log_BI[:, ~self.known] = -np.inf
        if self.config.mask_consumed:
            self._mask_consumed(batch, log_BI)
        popular = [counts.log_share().astype(np.float32) for counts in self.counts]
        ranked = []
        for weight in WEIGHTS:
            weighed_BI = log_BI * np.float32(weight)
            ranked += [rank_targets(weighed_BI + share_I, batch.item) for share_I in popular]
        return ranked

    def count(self, batch: Events, history_BT: NDArray[np.int32]) -> None:
        """Count popularity at all half-lives, and the evidence."""
        for counts in self.counts:
            counts.add(batch.item, batch.ts_ms)
        self.evidence.count(batch, history_BT)


def play_family(name: str, log: Recorded, seed: int, progress: Progress) -> list[Played]:
    """Play the log to all members of a family, one after the other."""
    config = RankingConfig(n_items=log.room, mask_consumed=log.mask_consumed, histories=log.rule)
    makers: list[Callable[[], Arms]]
    if name == "blend":
        makers = [partial(BlendGrid, config, kind) for kind in ("next", "window")]
    else:
        makers = [partial(_one_arm, make) for make in family(name, config, seed=seed)]
    played: list[Played] = []
    for number, make in enumerate(makers):
        start = number * len(log.events)

        def tell(done: int, start: int = start) -> None:
            progress(name, start + done, len(makers) * len(log.events))

        played += _play(make(), log, tell)
    return played


def _one_arm(make: Maker) -> Arms:
    return OneArm(make())


def _play(arms: Arms, log: Recorded, tell: Callable[[int], None]) -> list[Played]:
    arms.admit(log.announced)
    train_s = score_s = 0.0
    ranks: list[list[NDArray[np.float64]]] = [[np.zeros(0)] for _ in arms.names]
    for a, b in log.history_cuts + log.stream_cuts:
        batch = log.columns.between(a, b)
        began = time.perf_counter()
        if a >= log.split:
            for own, rank_B in zip(ranks, arms.rank_arms(batch), strict=True):
                own.append(rank_B)
        ranked = time.perf_counter()
        arms.learn(batch)
        score_s += ranked - began
        train_s += time.perf_counter() - ranked
        tell(b)
    return [
        Played(arm, np.concatenate(own), train_s, score_s / len(arms.names))
        for arm, own in zip(arms.names, ranks, strict=True)
    ]
