"""The referee: scores the published versions on what the learner is ranked on, for the gate.

It keeps two versions as frozen rankers: the live one, and the good one to go back to, which is the
newest that was proven better than the good one before. What the learner ranks is sampled, and both
rank it as well. A version that gives way takes the learner back with it: weights and counts are
those of the good version again, steps' moments and replay start empty, and what was learnt since
stays forgotten, honest events as well. Offsets don't go back: no example is learnt twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from learner.gate import Decision, Gate, one_of_each_first
from learner.meta.newcomers import SEGMENTS
from learner.online import LearnReport, OnlineLearner
from learner.rank_by import rank_by
from learner.ranker import Ranker
from learner.ranking_metrics import gains
from learner.snapshot import Saved
from learner.state import READER, go_back, load_ranker, save_ranker
from stream.events import AdapterVersion, Example
from stream.metrics import NEWCOMERS_WEIGHT, STUDENT_AGREEMENT

_FOR_LEARNING = (
    "replay/",
    "late/",
    "net_adam/",
    "behaviour_adam/",
    "update_rule/",
    "student_adam/",
    "student_rule/",
    f"{READER}/",
)
"""The arrays of a checkpoint that scoring doesn't need."""


class Version(NamedTuple):
    """A published version: what was announced of it, and the ranker that it is."""

    announced: AdapterVersion
    ranker: Ranker


class Referee:
    """Watches a learner, and decides what becomes of its versions.

    Parameters
    ----------
    learner
        The challenger. Only `roll_back` changes it.
    sample
        Examples of a micro-batch that the versions are scored on as well.
    """

    def __init__(self, learner: OnlineLearner, sample: int) -> None:
        self.gate = Gate()
        self.live: Version | None = None
        self.good: Version | None = None
        self._learner = learner
        self._sample = sample

    def judge(self, examples: Sequence[Example], report: LearnReport) -> None:
        """Look at examples that were just ranked and learnt; the versions rank a sample of them."""
        self._tell()
        if report.repeated or not examples:
            return  # the report's ranks are those of new examples only
        users = {example.user_id: n for n, example in enumerate(examples)}
        user_N = np.array([users[example.user_id] for example in examples], np.int64)
        at = one_of_each_first(user_N, self._sample)
        sample = [examples[n] for n in at]
        gain = {
            "challenger": gains(report.rank_N[at]),
            "prior": gains(report.rank_prior_N[at]),
            "popularity": gains(report.rank_popularity_N[at]),
        }
        if self.live is not None:
            gain["live"] = gains(rank_by(self.live.ranker, sample))
        if self.good is not None and self.good is not self.live:
            gain["good"] = gains(rank_by(self.good.ranker, sample))
        self.gate.see(gain)

    def _tell(self) -> None:
        """Say how the student keeps up with its base, and how much the newcomers' layer counts."""
        ranker = self._learner.ranker
        if ranker.student is not None:
            STUDENT_AGREEMENT.set(self._learner.agreement.value)
        if ranker.newcomers is not None:
            for events, counts in zip(SEGMENTS, ranker.newcomers.counts_S, strict=True):
                NEWCOMERS_WEIGHT.labels(events=events).set(counts)

    def decide(self) -> Decision:
        """What becomes of a version that is made now."""
        return self.gate.decide()

    def publish(self, announced: AdapterVersion, saved: Saved) -> None:
        """A version is live from now on; the one before becomes the good one if it proved so."""
        if self.live is not None and self.gate.now_good():
            self.good = self.live
            self.gate.good_changed()
        spare = None
        if self.live is not None and self.live is not self.good:
            spare = self.live.ranker
        self.live = Version(announced, self._ranker(saved, spare))
        if self.good is None:
            self.good = self.live

    def resume(
        self, live: tuple[AdapterVersion, Saved], good: tuple[AdapterVersion, Saved] | None
    ) -> None:
        """Go on with versions that were published before a restart."""
        self.live = self.good = Version(live[0], self._ranker(live[1], None))
        if good is not None and good[0] != live[0]:
            self.good = Version(good[0], self._ranker(good[1], None))

    def _ranker(self, saved: Saved, spare: Ranker | None) -> Ranker:
        ranker = spare or Ranker(self._learner.catalog, self._learner.config)
        load_ranker(ranker, saved.arrays)
        return ranker

    def restore_learner(self) -> None:
        """Take the learner back to the live version, which stays."""
        assert self.live is not None, "only a learner whose version is live can go back to it"
        go_back(self._learner, save_ranker(self.live.ranker))
        self.gate.forget()

    def roll_back(self) -> AdapterVersion:
        """Make the good version live again, and take the learner back to it."""
        assert self.good is not None, "only a version that lost to the good one is rolled back"
        go_back(self._learner, save_ranker(self.good.ranker))
        self.live = self.good
        self.gate.forget()
        return self.good.announced


def for_serving(saved: Saved, decision: Decision) -> Saved:
    """What serving gets of a checkpoint: no more than scoring needs, the correction on or off."""
    arrays = {name: a for name, a in saved.arrays.items() if not name.startswith(_FOR_LEARNING)}
    if decision == "prior":
        trained, _ = arrays["switches"]
        arrays["switches"] = np.array([trained, 0.0])
    return Saved(arrays, dict(saved.meta))
