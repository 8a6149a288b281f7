"""A student that follows its teacher: on every micro-batch that teaches the base, it learns too.

Legend: `N` rows.

The teacher is the learner's transformer as it is now, adapters and items' vectors and all; the
student is a small pretrained base (`tidemill distill`) that is served in its place. It takes the
same step on the same examples, and goes down the divergence from the teacher's answers beside the
loss of the next item (`learner.update_rules.follow`). Items have a vector of their own here where
they have one there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories
from learner.behaviour_step import BehaviourTrainer
from learner.peers import ALONE, Peers
from learner.ranker import Ranker
from learner.update_rules.choose import make_rule
from learner.update_rules.follow import Follow


class Follower(BehaviourTrainer):
    """Teaches a ranker's student.

    Parameters
    ----------
    teacher
        A ranker with a student.
    peers
        Those that teach copies of both.
    """

    def __init__(self, teacher: Ranker, peers: Peers = ALONE) -> None:
        student = teacher.student
        assert student is not None
        assert student.behaviour is not None
        assert teacher.behaviour is not None
        rule = make_rule(teacher.config.train.update_rule, student.behaviour)
        super().__init__(student, peers, Follow(rule, teacher.behaviour, teacher.residuals))
        self._teacher = teacher

    def step(
        self,
        past: Histories,
        target_B: NDArray[np.int32],
        factor: float,
        generator: np.random.Generator,
        *,
        replayed: bool = False,
    ) -> None:
        """One step on what the teacher has just taken one on."""
        self._same_items()
        super().step(past, target_B, factor, generator, replayed=replayed)

    def _same_items(self) -> None:
        student, items = self.ranker, len(self.ranker.catalog)
        student.tower.welcome(self.model, student.residuals)
        wanted_I = self._teacher.residuals.admitted_I[:items]
        student.residuals.reserve(items)
        have_I = student.residuals.admitted_I[:items]
        new_N = np.flatnonzero(wanted_I & ~have_I[: len(wanted_I)])
        if len(new_N):
            ids = [student.catalog.item(int(row)).item_id for row in new_N]
            student.residuals.admit(new_N, self.model.first_residuals(ids))
        gone_N = np.flatnonzero(have_I[: len(wanted_I)] & ~wanted_I)
        if len(gone_N):
            student.residuals.expire(gone_N)
