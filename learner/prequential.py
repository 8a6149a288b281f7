"""Prequential evaluation: every model plays one log, event by event, without Kafka.

Protocol. Events come in time order, equal times in the log's order. The first share of the log is
history: it is learnt in the same way and not counted. Of the rest, each event of a micro-batch is
ranked against the full catalogue by what was known before the micro-batch, and only then learnt; a
user's own history reaches up to the event, as it does in serving, where profiles are fresher than
weights. Where a log's clock says days, invoices or pages, it reaches up to the instant before, and
instants are not divided between micro-batches. A target that is not in the catalogue yet is a miss:
items with a text are announced at the start, others come by their first event. What a user had is
taken out only where the data has no repeats. Ties rank in the middle; nothing is sampled. The
learner ranks the candidates that it finds, and a target outside of them is a miss. A family of
baselines is judged by its best member on the counted part, which favours the baselines.

The transformer is pretrained on the first 85 % of the history where that is long enough; the rest
of the history is learnt as the stream is.

Read `evaluation_log` (the cut), `evaluation_rows` (baselines), `evaluation_learner` (the learner).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.baselines.lineup import FAMILIES
from learner.config import LearnerConfig
from learner.evaluation_learner import LEARNERS, VARIANTS, Course, Detectors, play_learner
from learner.evaluation_log import Protocol, Recorded, record
from learner.evaluation_pretraining import PRETRAINING
from learner.evaluation_rows import SEEDED, Played, Progress, play_family
from learner.measures import MISS
from learner.pretraining_config import PretrainConfig
from learner.ranking_metrics import (
    bootstrap_interval,
    cold_item_mask,
    cold_user_mask,
    gains,
    ranking_metrics,
)
from stream.events import Event

ROWS = (*FAMILIES, *LEARNERS)
"""All rows, in the order of the table."""

ON_DEMAND = (*ROWS, *VARIANTS)
"""Those as well that are only played where they are named."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model's line: means over seeds; NaN where nothing was counted or measured.

    `train_s` covers history and stream; of rows that rank while they learn (`online`, `stacking`)
    it includes that ranking. `score_s` is the ranking of the stream alone.
    """

    model: str
    arm: str
    """The best member of the family, or how the learner was used."""
    hr10: float
    ndcg10: float
    ndcg10_ci95: tuple[float, float]
    """Bootstrap over users, of the gains averaged over seeds."""
    ndcg10_seeds: tuple[float, ...]
    precision10: float
    recall10: float
    mrr: float
    cold_item_hr10: float
    """Items that the history doesn't have."""
    cold_item_share: float
    cold_user_ndcg10: float
    """Users with at most three earlier events."""
    train_s: float
    score_s: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one run over a log found."""

    events: int
    streamed: int
    items: int
    users: int
    histories: str
    mask_consumed: bool
    rows: tuple[Row, ...]
    gains: dict[str, NDArray[np.float64]]
    """NDCG@10 of each streamed event by each row, averaged over seeds, in the log's order."""
    user: NDArray[np.int32]
    """The user of each streamed event, as a code: for paired intervals."""

    def row(self, model: str) -> Row:
        """The line of one model."""
        return next(row for row in self.rows if row.model == model)

    def best_baseline(self) -> Row | None:
        """The baseline with the highest NDCG@10, whichever that is."""
        rows = [row for row in self.rows if row.model in FAMILIES]
        return max(rows, key=lambda row: row.ndcg10, default=None)

    def lead(self, model: str, over: str) -> tuple[float, float]:
        """The 95 % interval of one row's NDCG@10 minus another's, paired by event."""
        return bootstrap_interval(self.gains[model] - self.gains[over], self.user)


def no_detectors() -> tuple[()]:
    """For runs without a response to drift."""
    return ()


def evaluate(
    events: Sequence[Event],
    catalog: Catalog,
    rows: Sequence[str] = ROWS,
    *,
    protocol: Protocol | None = None,
    config: LearnerConfig | None = None,
    seeds: int = 1,
    detectors: Detectors = no_detectors,
    pretraining: PretrainConfig | None = PRETRAINING,
    progress: Progress = lambda row, done, total: None,
) -> Evaluation:
    """Play a log to models and compare them on its last part.

    Parameters
    ----------
    events
        The log, in time order.
    catalog
        The items that are announced before the first event. It is not changed.
    rows
        Some of `ON_DEMAND`.
    protocol
        How the log is cut and what may be known.
    config
        Of the learner; its micro-batch is the protocol's.
    seeds
        Rows that draw numbers are played with so many seeds, from the configured one on.
    detectors
        Makes the learner's drift detectors.
    pretraining
        How the transformer learns the first part of the history; `None`: only as it learns the
        stream.
    progress
        Called now and then with the row, the events done, and all events of that run.

    Raises
    ------
    ValueError
        If there is no such row, or nothing to stream.
    """
    if strange := [name for name in rows if name not in ON_DEMAND]:
        message = f"no row called {', '.join(strange)}: choose from {', '.join(ON_DEMAND)}"
        raise ValueError(message)
    protocol, config = protocol or Protocol(), config or LearnerConfig()
    log = record(events, catalog, protocol)
    if not log.streamed:
        message = (
            f"{len(events)} events with {protocol.history:.0%} of them as history leave nothing to "
            "stream: give a longer log or a smaller history"
        )
        raise ValueError(message)
    runs: dict[str, list[Played]] = {}
    for name in (name for name in FAMILIES if name in rows):
        for seed in range(seeds if name in SEEDED else 1):
            played = play_family(name, log, config.seed + seed, progress)
            runs.setdefault(name, []).append(max(played, key=_ndcg))
    learners = [name for name in (*LEARNERS, *VARIANTS) if name in rows]
    for seed in range(seeds if learners else 0):
        seeded = msgspec.structs.replace(config, seed=config.seed + seed)
        course = Course(log, catalog, seeded, detectors, progress, pretraining)
        for name, one in play_learner(learners, course).items():
            runs.setdefault(name, []).append(one)
    had = log.had_before() & log.mask_consumed
    kept = [name for name in ON_DEMAND if name in runs]
    ranks = {name: [np.where(had, MISS, one.rank_N) for one in runs[name]] for name in kept}
    gain = {name: np.mean([gains(rank_N) for rank_N in ranks[name]], axis=0) for name in kept}
    return Evaluation(
        events=len(events),
        streamed=log.streamed,
        items=log.items,
        users=len(np.unique(log.columns.user)),
        histories=log.rule,
        mask_consumed=log.mask_consumed,
        rows=tuple(_row(name, runs[name], ranks[name], gain[name], log) for name in kept),
        gains=gain,
        user=log.columns.user[log.split :],
    )


def _ndcg(played: Played) -> float:
    return float(np.mean(gains(played.rank_N)))


def _row(
    name: str,
    runs: Sequence[Played],
    ranks: Sequence[NDArray[np.float64]],
    gain_N: NDArray[np.float64],
    log: Recorded,
) -> Row:
    item, user = log.columns.item, log.columns.user
    cold_item = cold_item_mask(item, log.split)
    cold_user = cold_user_mask(user, log.split)
    overall = [ranking_metrics(rank_N) for rank_N in ranks]
    new_items = [ranking_metrics(rank_N, mask=cold_item) for rank_N in ranks]
    new_users = [ranking_metrics(rank_N, mask=cold_user) for rank_N in ranks]
    return Row(
        model=name,
        arm=runs[0].arm,
        hr10=_mean([found.hr for found in overall]),
        ndcg10=_mean([found.ndcg for found in overall]),
        ndcg10_ci95=bootstrap_interval(gain_N, user[log.split :]),
        ndcg10_seeds=tuple(found.ndcg for found in overall),
        precision10=_mean([found.precision for found in overall]),
        recall10=_mean([found.recall for found in overall]),
        mrr=_mean([found.mrr for found in overall]),
        cold_item_hr10=_mean([found.hr for found in new_items]),
        cold_item_share=float(cold_item.mean()),
        cold_user_ndcg10=_mean([found.ndcg for found in new_users]),
        train_s=_mean([one.train_s for one in runs]),
        score_s=_mean([one.score_s for one in runs]),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
