"""Prequential evaluation: the learner's own loop over a log, without Kafka.

Protocol. Events come in time order, equal times in the log's order. Micro-batches of a fixed size
are ranked against the full catalogue with what was known before them, and then learnt; a user's
own history is known up to the event. A target that the catalogue doesn't hold yet is a miss. The
first share of the log is history: it is learnt in the same way and not counted. A family of
baselines is judged by its best member on the counted part, which favours the baselines.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.baselines.full_ranking import RankingConfig
from learner.baselines.lineup import family
from learner.baselines.protocol import Events, play
from learner.online import OnlineLearner
from learner.ranking_metrics import ranking_metrics
from stream.events import KINDS, Event, Example, ItemVector, Step

FAMILIES = ("popularity", "covisitation", "blend")
"""The baselines that are quick enough to stand in every table."""

NO_REPEATS = 0.005
"""A history with a smaller share of repeats has none: what a user had is then not ranked."""


class Row(msgspec.Struct, frozen=True):
    """One model's line in the table; `arm` is the best member of its family."""

    model: str
    arm: str
    hr10: float
    ndcg10: float
    mrr: float
    seconds: float


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What one run over a log found."""

    events: int
    streamed: int
    items: int
    rows: tuple[Row, ...]
    events_per_s: float
    curve: tuple[tuple[int, float, float], ...]
    """(events, online NDCG@10, 7-day popularity NDCG@10), per micro-batch of the counted part."""

    def row(self, model: str) -> Row:
        """The line of one model."""
        return next(row for row in self.rows if row.model == model)


def examples_of(events: Iterable[Event], steps: int = 50, partition: int = 0) -> Iterator[Example]:
    """Turn events into training examples: each with its user's history strictly before it."""
    past: dict[str, deque[Step]] = {}
    counts: dict[str, int] = {}
    for offset, event in enumerate(events):
        history = past.setdefault(event.user_id, deque(maxlen=steps))
        seen = counts.get(event.user_id, 0)
        yield Example(
            event_id=event.event_id,
            user_id=event.user_id,
            item_id=event.item_id,
            kind=event.kind,
            ts_ms=event.ts_ms,
            received_ms=event.received_ms,
            partition=partition,
            offset=offset,
            history=tuple(history),
            user_events=seen,
            rating=event.rating,
        )
        history.append(Step(event.item_id, event.kind, event.ts_ms, event.rating))
        counts[event.user_id] = seen + 1


def admit_unknown(catalog: Catalog, examples: Sequence[Example]) -> None:
    """Give items that only events tell of a row without text, for logs without a catalogue."""
    unknown = {e.item_id for e in examples if catalog.row(e.item_id) < 0}
    if unknown:
        catalog.upsert(
            [
                ItemVector(item_id=i, vector=b"", encoder="", text_hash="", first_seen_ms=0)
                for i in sorted(unknown)
            ]
        )


def evaluate(
    events: Sequence[Event],
    learner: OnlineLearner,
    *,
    history: float = 0.7,
    stream_max: int | None = None,
    families: Sequence[str] = FAMILIES,
) -> Evaluation:
    """Run the learner and the baselines over a log, and compare them on its last part."""
    announced = len(learner.catalog) > 0
    counted_from = int(len(events) * history)
    stop = len(events) if stream_max is None else min(len(events), counted_from + stream_max)
    size = learner.config.train.batch
    stream = examples_of(events[:stop], learner.config.model.steps)
    found: dict[str, list[NDArray[np.float64]]] = {"online": [], "prior": []}
    curve: list[tuple[int, float, float]] = []
    learner_s = 0.0
    done = 0
    while done < stop:
        edge = counted_from if done < counted_from else stop
        batch = list(islice(stream, min(size, edge - done)))
        start = time.perf_counter()
        report = learner.learn_many(batch)
        learner_s += time.perf_counter() - start
        if done >= counted_from:
            found["online"].append(report.rank_N)
            found["prior"].append(report.rank_prior_N)
            curve.append((done, report.ndcg10, report.ndcg10_popularity))
        if report.unknown:
            admit_unknown(learner.catalog, batch)
            learner.count(batch)
        done += len(batch)
    rows = [
        _row(name, name, np.concatenate([np.zeros(0), *parts]), learner_s)
        for name, parts in found.items()
    ]
    columns, known = _columns(events[:stop])
    config = RankingConfig(
        n_items=known,
        mask_consumed=not learner.ranker.experts.offers_again,
        histories="event",
        all_known=announced,
    )
    share = counted_from / max(stop, 1)
    rows += [_best_of(name, config, columns, share, size) for name in families]
    return Evaluation(
        events=len(events),
        streamed=stop - counted_from,
        items=len(learner.catalog),
        rows=tuple(rows),
        events_per_s=stop / max(learner_s, 1e-9),
        curve=tuple(curve),
    )


def _row(model: str, arm: str, rank_N: NDArray[np.float64], seconds: float) -> Row:
    found = ranking_metrics(rank_N)
    return Row(model, arm, found.hr, found.ndcg, found.mrr, seconds)


def _best_of(
    name: str, config: RankingConfig, columns: Events, history: float, batch: int
) -> Row:
    rows = []
    for make in family(name, config):
        model = make()
        # One thousandth of an event keeps the split where the learner's is, despite rounding.
        played = play(model, columns, history=history + 1e-9, batch=batch)
        seconds = played.history_s + played.rank_s + played.learn_s
        rows.append(_row(name, model.name, played.rank, seconds))
    return max(rows, key=lambda row: row.ndcg10)


def _columns(events: Sequence[Event]) -> tuple[Events, int]:
    """A log as the baselines take it, and how many items it has."""
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user = np.array([users.setdefault(e.user_id, len(users)) for e in events], np.int32)
    item = np.array([items.setdefault(e.item_id, len(items)) for e in events], np.int32)
    kind = np.array([KINDS.index(e.kind) for e in events], np.int8)
    ts_ms = np.array([e.ts_ms for e in events], np.int64)
    return Events(user, item, kind, ts_ms, user), len(items)
