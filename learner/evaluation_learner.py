"""The learner's side of an evaluation: the object that runs over Kafka, played a log.

`online` learns each micro-batch after it was ranked; `prior` is the same without what was learnt
by gradient; `frozen` learns the history only; `retrained-daily` learns at the end of each day of
the stream; `no-transformer` is the online learner without one; `stacking` is a simpler learner: one
small net that corrects the fixed prior. `VARIANTS` are the online learner with one setting changed.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.config import LearnerConfig
from learner.drift import Detector
from learner.evaluation_log import Recorded, examples_of
from learner.evaluation_pretraining import FEWEST, PRETRAINING, SHARE, Rest, pretrain_on
from learner.evaluation_rows import Played, Progress
from learner.online import OnlineLearner
from learner.pretraining_config import PretrainConfig
from learner.rank_by import rank_by
from stream.events import Example, ItemVector

LEARNERS = ("prior", "frozen", "retrained-daily", "stacking", "no-transformer", "online")

VARIANTS = ("newcomers", "uncleaned", "trusting")
"""With a layer for users' first events, with noise learnt, with new users believed."""

DAY_MS = 86_400_000

Detectors = Callable[[], Sequence[Detector]]


@dataclass(frozen=True, slots=True)
class Course:
    """What every learner of one seed goes through."""

    log: Recorded
    catalog: Catalog
    """Copied for each learner: items that it doesn't have are admitted on the way."""
    config: LearnerConfig
    detectors: Detectors
    progress: Progress
    pretraining: PretrainConfig | None = PRETRAINING
    """How the transformer learns the history before it goes on, if it does."""


def play_learner(rows: Iterable[str], course: Course) -> dict[str, Played]:
    """Play the log once with the transformer and once without, as the asked rows need it."""
    wanted = set(rows)
    played: dict[str, Played] = {}
    if wanted & {"prior", "frozen", "retrained-daily", "online"}:
        run = _Run("online", course)
        frozen = run.frozen()
        played["frozen"] = frozen
        if "retrained-daily" in wanted:
            played["retrained-daily"] = run.daily()
        if wanted & {"prior", "online"}:
            played |= run.online(frozen.score_s)
    for name, config in (
        ("stacking", stacking(course.config)),
        ("no-transformer", without_transformer(course.config)),
        *((name, variant(name, course.config)) for name in VARIANTS),
    ):
        if name in wanted:
            run = _Run(name, replace(course, config=config))
            played[name] = run.online(run.frozen().score_s)["online"]
    return {name: one for name, one in played.items() if name in wanted}


def variant(name: str, config: LearnerConfig) -> LearnerConfig:
    """The learner's numbers with one thing changed.

    >>> variant("newcomers", LearnerConfig()).meta.few
    1
    >>> variant("uncleaned", LearnerConfig()).cleaning.on
    False
    """
    replaced = msgspec.structs.replace
    match name:
        case "newcomers":
            return replaced(config, meta=replaced(config.meta, few=1))
        case "uncleaned":
            return replaced(config, cleaning=replaced(config.cleaning, on=False))
        case _:
            return replaced(config, trust=replaced(config.trust, on=False))


def without_transformer(config: LearnerConfig) -> LearnerConfig:
    """The learner's numbers, with the transformer off."""
    return msgspec.structs.replace(
        config, model=msgspec.structs.replace(config.model, transformer=False)
    )


BEYOND = (
    *("pop_steep", "pair", "together", "cosine_recent", "return_place", "return_age"),
    *("own_repeat_rate", "unseen", "session", "hour_sin", "hour_cos", "weekend"),
    *("semantic", "semantic_last"),
)
"""Features that `stacking` does without."""


def stacking(config: LearnerConfig) -> LearnerConfig:
    """A simple learner: a fixed blend, corrected by one small net on what is easily counted."""
    config = without_transformer(config)
    return msgspec.structs.replace(
        config,
        model=msgspec.structs.replace(config.model, weights=False, without=BEYOND),
        train=msgspec.structs.replace(config.train, rates=(4e-3,), replays=3),
    )


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


class _Run:
    """A learner that has learnt the history, and the ways to go on from there."""

    def __init__(self, name: str, course: Course) -> None:
        log, catalog, config = course.log, course.catalog, course.config
        # A micro-batch of the log must be one of the learner's too, also where instants are whole.
        train = msgspec.structs.replace(config.train, batch=max(1, log.largest_cut))
        config = msgspec.structs.replace(config, train=train)
        own = Catalog(catalog.width)
        own.upsert([catalog.item(row) for row in range(len(catalog))])
        self.name, self.log, self._progress = name, log, course.progress
        self.learner = OnlineLearner(own, config, course.detectors())
        examples = examples_of(log.events, config.model.steps, rule=log.rule)
        self.history_s = 0.0
        asleep = self._asleep(course)
        for a, b in log.history_cuts:
            batch = list(islice(examples, b - a))
            began = time.perf_counter()
            if asleep and a >= SHARE * log.split:
                asleep.wake()
                asleep = None
                self._pretrain(a, course)
            learn_and_admit(self.learner, batch)
            self.history_s += time.perf_counter() - began
            course.progress(f"{name}: history", b, log.split)
        self._batches = [list(islice(examples, b - a)) for a, b in log.stream_cuts]

    def _asleep(self, course: Course) -> Rest | None:
        model = self.learner.config.model
        usual = course.pretraining is None or model.base or not model.transformer
        return None if usual or self.log.split < FEWEST else Rest(self.learner)

    def _pretrain(self, upto: int, course: Course) -> None:
        assert course.pretraining is not None
        config = msgspec.structs.replace(course.pretraining, seed=self.learner.config.seed)

        def tell(done: int, total: int) -> None:
            course.progress(f"{self.name}: pretraining", done, total)

        pretrain_on(self.learner, self.log.events[:upto], config, tell)

    def frozen(self) -> Played:
        """Rank the stream without learning: this changes nothing."""
        began = time.perf_counter()
        found = [np.zeros(0)]
        for number, batch in enumerate(self._batches):
            found.append(rank_by(self.learner.ranker, batch))
            self._tell("frozen", number)
        seconds = time.perf_counter() - began
        return Played("after the history", np.concatenate(found), self.history_s, seconds)

    def daily(self) -> Played:
        """Rank each day by a learner that has learnt all days before in one pass.

        Learning in one pass depends on the order alone, so that a copy which learns a day at its
        end is, bit for bit, the learner that was made anew and went over everything since the
        beginning. The copy is played; `train_s` is what all those retrainings would have taken, at
        its measured seconds per event.
        """
        learner = copy.deepcopy(self.learner)
        found, waiting = [np.zeros(0)], list[list[Example]]()
        score_s = learn_s = 0.0
        learnt, gone_over, retrained, today = self.log.split, 0, 0, None
        for number, batch in enumerate(self._batches):
            day = batch[0].ts_ms // DAY_MS
            if today is not None and day != today:
                began = time.perf_counter()
                for one in waiting:
                    learn_and_admit(learner, one)
                    learnt += len(one)
                learn_s += time.perf_counter() - began
                gone_over += learnt
                retrained += 1
                waiting = []
            today = day
            began = time.perf_counter()
            found.append(rank_by(learner.ranker, batch))
            score_s += time.perf_counter() - began
            waiting.append(batch)
            self._tell("retrained daily", number)
        per_event_s = (self.history_s + learn_s) / max(1, learnt)
        train_s = self.history_s + gone_over * per_event_s
        return Played(f"{retrained} times, one pass", np.concatenate(found), train_s, score_s)

    def online(self, score_s: float) -> dict[str, Played]:
        """Test, then train; `score_s` is what ranking alone takes, measured before."""
        online, prior = [np.zeros(0)], [np.zeros(0)]
        seconds = 0.0
        for number, batch in enumerate(self._batches):
            began = time.perf_counter()
            rank_B, prior_B = learn_and_admit(self.learner, batch)
            seconds += time.perf_counter() - began
            online.append(rank_B)
            prior.append(prior_B)
            self._tell("stream", number)
        train_s = self.history_s + seconds
        return {
            "online": Played("each micro-batch", np.concatenate(online), train_s, score_s),
            "prior": Played("counts only", np.concatenate(prior), np.nan, np.nan),
        }

    def _tell(self, what: str, number: int) -> None:
        done = self.log.stream_cuts[number][1] - self.log.split
        self._progress(f"{self.name}: {what}", done, self.log.streamed)


def learn_and_admit(
    learner: OnlineLearner, batch: Sequence[Example]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rank, learn, then admit what was new; ranks by the learner and by its prior."""
    report = learner.learn_many(batch)
    if report.unknown:
        admit_unknown(learner.catalog, batch)
        learner.count_late()
    return report.rank_N, report.rank_prior_N
