"""Test, then train: every example is ranked by what was known before it, and then learnt.

Legend: `B` examples of a micro-batch, `K` candidates, `A` arms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.batch import Histories, histories_of
from learner.cleaning import REASONS, noise_B
from learner.config import LearnerConfig
from learner.drift import Detector, Response, watch
from learner.influence import teaching_B
from learner.late import Late
from learner.measures import MISS, DecayedMean, agreement, ranks
from learner.novelty import novelty
from learner.peers import ALONE, Everyone, Peers
from learner.ranker import Ranker, Scored
from learner.ranking_metrics import gains
from learner.replay import Lesson, Replay, joined_lessons
from learner.shadow import covisit_ranks, popularity_ranks
from learner.step import Trainer, make_lesson
from learner.tower import IDLE_MS
from learner.transfer import start_from
from stream.events import Example

TOP = 10

RECENT = 1_000.0
"""Half-life, in examples, of the running figures: shorter jumps, longer hides a decline."""

EXPIRE_EVERY = 50
"""Micro-batches between two looks for idle items."""


@dataclass(frozen=True, slots=True)
class LearnReport:
    """What one call of `learn_many` saw: figures before learning, running means beside them."""

    examples: int
    learnt: int
    repeated: int
    unknown: int
    late: int
    steps: int
    loss: float
    ndcg10: float
    ndcg10_prior: float
    ndcg10_popularity: float
    ndcg10_covisitation: float
    hr10: float
    recent: dict[str, float]
    factor: float
    signals: tuple[str, ...]
    rank_N: NDArray[np.float64]
    rank_prior_N: NDArray[np.float64]
    rank_popularity_N: NDArray[np.float64]


class OnlineLearner:
    """The whole learner. The same object runs in the Kafka role and in offline evaluation.

    Parameters
    ----------
    catalog
        The items; the caller keeps it up to date between two calls.
    config
        Every number.
    detectors
        What watches the stream for drift. They start anew after a restart.
    peers
        Those that learn the same model in other processes (`learner.parallel`).

    Notes
    -----
    Two runs with one seed are bit-equal, and so is a run that was saved and resumed: whatever is
    random follows from the seed and the number of micro-batches learnt.
    """

    def __init__(
        self,
        catalog: Catalog,
        config: LearnerConfig,
        detectors: Sequence[Detector] = (),
        peers: Peers = ALONE,
    ) -> None:
        self.catalog = catalog
        self.config = config
        self.detectors = tuple(detectors)
        self.peers = peers
        self.ranker = Ranker(catalog, config)
        if config.start:
            start_from(self.ranker, config.start)
        self.trainer = Trainer(self.ranker, peers)
        self.replay = Replay(
            config.train.replay_size, config.model.transformer_steps, config.train.listed
        )
        self.response = Response(config.train.drift_factor, config.train.drift_half_life)
        self.late = Late()
        self.offsets: dict[int, int] = {}
        self.learnt = 0
        self.batches = 0
        self.last_loss: float | None = None
        self.noise = np.zeros(len(REASONS), np.int64)
        """How many examples taught nothing, by `learner.cleaning.REASONS`, since the start."""
        self.ranked: tuple[str, ...] = ("online", "prior", "popularity", "covisitation")
        if self.ranker.student is not None:
            self.ranked += ("student",)
        self.recent = {name: DecayedMean(RECENT) for name in (*self.ranked, "hr10")}
        self.agreement = DecayedMean(RECENT)
        """Of the base's ten best items, the share that are the student's."""

    def learn_many(self, examples: Sequence[Example]) -> LearnReport:
        """Rank examples, then learn from them, micro-batch by micro-batch.

        Examples at or below the learnt offset of their partition are left out: each changes the
        model once, however often it is delivered. One whose item is unknown waits (`learner.late`).
        """
        late = self.count_late()
        new: list[Example] = []
        for example in examples:
            if example.offset >= self.offsets.get(example.partition, 0):
                self.offsets[example.partition] = example.offset + 1
                new.append(example)
        size = self.config.train.batch
        parts = [new[i : i + size] for i in range(0, len(new), size)]
        parts += [[]] * (self.peers.most(len(parts)) - len(parts))
        seen = [self._learn_batch(part) for part in parts]
        self.offsets = self.peers.offsets(self.offsets)
        return self._report(len(examples), late, seen)

    def pass_over(self, examples: Sequence[Example]) -> None:
        """Count examples as dealt with, whether they were learnt or not."""
        for example in examples:
            learnt = self.offsets.get(example.partition, 0)
            self.offsets[example.partition] = max(learnt, example.offset + 1)

    def count_late(self) -> int:
        """Count the events of items that were unknown when they were ranked and no longer are."""
        late = self.late.take_known(self.catalog)
        if self.peers.count(len(late)):
            past = histories_of(self.catalog, late, self.config.model.steps)
            past, row_N, _ = self.peers.examples(past, self.catalog.rows(e.item_id for e in late))
            generator = np.random.default_rng((self.config.seed, self.batches, 1))
            teaching = np.flatnonzero(self._teaching_B(past, row_N, generator))
            self.ranker.experts.learn(row_N[teaching], past.take(teaching), len(self.catalog))
        return len(late)

    def _learn_batch(self, examples: Sequence[Example]) -> _Batch:
        generator = np.random.default_rng((self.config.seed, self.batches))
        self.batches += 1
        past = histories_of(self.catalog, examples, self.config.model.steps)
        target_B = self.catalog.rows(example.item_id for example in examples)
        known = np.flatnonzero(target_B >= 0)
        kept, target_K = past.take(known), target_B[known]
        batch = _Batch(self.ranked, len(examples), len(known))
        self.late.add(examples[n] for n in np.flatnonzero(target_B < 0).tolist())
        if self.peers.count(len(known)):
            everyone = self.peers.examples(kept, target_K)
            self._test_then_train(kept, everyone, known, batch, generator)
        return batch

    def _test_then_train(
        self,
        past: Histories,
        everyone: Everyone,
        known: NDArray[np.int64],
        batch: _Batch,
        generator: np.random.Generator,
    ) -> None:
        ranker, experts = self.ranker, self.ranker.experts
        target_B = everyone.target_B[everyone.mine]
        all_teach_B = self._teaching_B(everyone.past, everyone.target_B, generator)
        teaches_B = all_teach_B[everyone.mine]
        if self.peers.rank:  # what one draws from here on is one's own
            generator = np.random.default_rng((self.config.seed, self.batches, 2, self.peers.rank))

        # 1. Test: nothing of this micro-batch has been learnt yet.
        lessons: list[Lesson] = []
        losses = np.zeros((len(ranker.weighing.losses), len(target_B)))
        worth = np.zeros_like(losses)
        graded = np.zeros(len(target_B), np.bool_)
        for part, scored in ranker.score_many(past, target_B=target_B):
            self._rank(past.take(part), scored, known[part], batch)
            losses[:, part] = _losses(scored)
            worth[:, part] = [
                gains(ranks(arm_BK, scored.real_BK, scored.target_B), k=100)
                for arm_BK in scored.arms_ABK
            ]
            line = np.arange(len(scored.target_B))
            graded[part] = scored.real_BK[line, scored.target_B] & teaches_B[part]
            ranker.gather(scored, np.flatnonzero(graded[part]))
            ranker.gather_newcomers(past.take(part), scored, teaches_B[part])
            lessons.append(
                make_lesson(
                    past.take(part), scored, target_B[part], self.config.train.listed, generator
                )
            )
        batch.rank["popularity"][known] = popularity_ranks(
            experts, past, target_B, ranker.allowed_I()
        )
        batch.rank["covisitation"][known] = covisit_ranks(
            experts, past, target_B, ranker.allowed_I()
        )
        weight = ranker.weighing.weights
        batch.losses = (weight @ losses)[graded]
        heard = np.concatenate([batch.losses[None], worth[:, graded]])
        told = self.peers.joined(np.ascontiguousarray(heard))  # sums depend on the layout
        teaching = np.flatnonzero(all_teach_B)
        taught, taught_B = everyone.past.take(teaching), everyone.target_B[teaching]
        fresh = novelty(self.catalog.vectors, taught, taught_B) if self.detectors else np.zeros(0)
        batch.signals = watch(self.detectors, self.response, {"loss": told[0], "novelty": fresh})
        ranker.weighing.update(1.0 - told[1:])

        # 2. Train: count, then step on the new ones, then on some old ones.
        ranker.stacking.share(self.peers.add)
        ranker.stacking.step(self.response.factor)
        if ranker.newcomers is not None:
            ranker.newcomers.learn(
                taught_B, len(self.catalog), self.peers.add, self.response.factor
            )
        if batch.signals:
            experts.popularity.fade(self.config.train.drift_keeps)
        experts.learn(taught_B, taught, len(self.catalog))
        self._admit(everyone.target_B)
        lesson = joined_lessons(lessons).only(graded) if lessons else self.replay.none()
        factor = self.response.factor
        self.trainer.step(lesson, factor, generator)
        self.replay.add(lesson)
        enough = self.peers.count(len(self.replay)) > self.peers.count(len(lesson))
        for _ in range(self.config.train.replays if enough else 0):
            again = self.replay.sample(len(lesson), generator)
            self.trainer.step(again, factor, generator, replayed=True)
            batch.steps += 1
        batch.steps += 1
        self.response.pass_by(len(everyone.target_B))
        self.learnt += len(everyone.target_B)

    def _rank(
        self, past: Histories, scored: Scored, at_B: NDArray[np.int64], batch: _Batch
    ) -> None:
        """Rank the targets of scored users; of a student, which is served, as it does as well."""
        scores = {"online": scored.score_BK, "prior": scored.prior_BK}
        if self.ranker.student is not None:
            student_BK = self.ranker.student_scores(past, scored)
            self.agreement.add(agreement(scored.score_BK, student_BK, scored.real_BK, TOP))
            scores["student"] = student_BK
        for name, score_BK in scores.items():
            batch.rank[name][at_B] = ranks(score_BK, scored.real_BK, scored.target_B)

    def _teaching_B(
        self, past: Histories, target_B: NDArray[np.int32], generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Which examples teach: no noise, and neither one user nor a crowd of new ones alone."""
        cleaning, trust = self.config.cleaning, self.config.trust
        teaches_B = np.ones(len(target_B), np.bool_)
        if cleaning.on:
            code_B = noise_B(past, target_B, cleaning)
            teaches_B = code_B < 0
            self.noise += np.bincount(code_B[~teaches_B], minlength=len(REASONS))
        if not trust.on:
            return teaches_B
        teaches_B &= teaching_B(past, target_B, generator)
        at = np.flatnonzero(teaches_B)
        crowd, items = self.ranker.experts.crowd, len(self.catalog)
        teaches_B[at] = crowd.hear(target_B[at], past.take(at), trust, generator, items=items)
        return teaches_B

    def _admit(self, target_B: NDArray[np.int32]) -> None:
        behaviour, residuals = self.ranker.behaviour, self.ranker.residuals
        if behaviour is None:
            return
        experts = self.ranker.experts
        residuals.reserve(len(self.catalog))
        rows = np.unique(target_B).astype(np.int64)
        rows = rows[
            ~residuals.admitted_I[rows] & (experts.taken_I[rows] >= self.config.model.admit_after)
        ]
        if len(rows):
            ids = [self.catalog.item(int(row)).item_id for row in rows]
            residuals.admit(rows, behaviour.first_residuals(ids))
        residuals.trim(self.config.model.residuals_max, experts.last_ms_I)
        if self.batches % EXPIRE_EVERY == 0:
            admitted = np.flatnonzero(residuals.admitted_I)
            newest_ms = experts.popularity.now_ms
            last_ms = experts.last_ms_I[admitted]
            residuals.expire(admitted[(last_ms > 0) & (last_ms < newest_ms - IDLE_MS)])

    def _report(self, given: int, late: int, seen: Sequence[_Batch]) -> LearnReport:
        def joined(name: str) -> NDArray[np.float64]:
            return np.concatenate([b.rank[name] for b in seen]) if seen else np.zeros(0)

        rank = {name: joined(name) for name in self.ranked}
        for name, rank_N in rank.items():
            self.recent[name].add(gains(rank_N))
        self.recent["hr10"].add((rank["online"] <= TOP).astype(np.float64))
        losses = np.concatenate([b.losses for b in seen]) if seen else np.zeros(0)
        if len(losses):
            self.last_loss = float(losses.mean())

        def mean(values: NDArray[np.float64]) -> float:
            return float(values.mean()) if len(values) else 0.0

        fresh = sum(b.examples for b in seen)
        return LearnReport(
            examples=given,
            learnt=sum(b.known for b in seen),
            repeated=given - fresh,
            unknown=fresh - sum(b.known for b in seen),
            late=late,
            steps=sum(b.steps for b in seen),
            loss=mean(losses),
            ndcg10=mean(gains(rank["online"])),
            ndcg10_prior=mean(gains(rank["prior"])),
            ndcg10_popularity=mean(gains(rank["popularity"])),
            ndcg10_covisitation=mean(gains(rank["covisitation"])),
            hr10=mean((rank["online"] <= TOP).astype(np.float64)),
            recent={name: m.value for name, m in self.recent.items()},
            factor=self.response.factor,
            signals=tuple(name for b in seen for name in b.signals),
            rank_N=rank["online"],
            rank_prior_N=rank["prior"],
            rank_popularity_N=rank["popularity"],
        )


class _Batch:
    """What one micro-batch leaves for the report."""

    def __init__(self, ranked: Sequence[str], examples: int, known: int) -> None:
        self.examples = examples
        self.known = known
        self.steps = 0
        self.losses = np.zeros(0)
        self.signals: tuple[str, ...] = ()
        self.rank = {name: np.full(examples, MISS) for name in ranked}


def _losses(scored: Scored) -> NDArray[np.float64]:
    """The loss of every arm at each target: (A, B)."""
    corrected = np.where(scored.real_BK, scored.arms_ABK.astype(np.float64), -np.inf)
    line = np.arange(len(scored.target_B))
    own = corrected[:, line, scored.target_B]
    top = corrected.max(axis=2, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    total = top[:, :, 0] + np.log(np.exp(corrected - top).sum(axis=2) + 1e-30)
    return np.asarray(np.where(np.isfinite(own), total - own, 0.0))
