"""Following a teacher: any rule, and beside it the divergence from what the teacher answers now.

The Kullback-Leibler divergence of Hinton, Vinyals & Dean (2015) over the items that a step scores,
corrected for how often each is: both softmaxes stand for one over all items.

Legend: `B` examples, `C` scored items, `I` rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import kl_div

from learner.behaviour import Behaviour
from learner.tower import Residuals
from learner.update_rules.distillation import answers
from learner.update_rules.rule import Attempt, Student, UpdateRule

WEIGHT = 1.0
"""Of the divergence, beside the cross-entropy."""


class Follow:
    """A rule that is held to a teacher's answers.

    Parameters
    ----------
    rule
        What else the student does.
    teacher
        The transformer that it follows, which goes on learning.
    residuals
        The teacher's.
    """

    def __init__(self, rule: UpdateRule, teacher: Behaviour, residuals: Residuals) -> None:
        self._rule, self._teacher, self._residuals = rule, teacher, residuals
        self.rate, self.dropout = rule.rate, rule.dropout

    def learnt(self) -> dict[str, nn.Parameter]:
        """What the rule says."""
        return self._rule.learnt()

    def begin_block(self, student: Student, block: int) -> tuple[str, ...]:
        """What the rule does."""
        return self._rule.begin_block(student, block)

    def loss(self, attempt: Attempt) -> Tensor:
        """What the rule goes down, and the distance from the teacher."""
        said_BC = answers(self._teacher, self._residuals, attempt, attempt.columns_C)
        theirs_BC = (said_BC + attempt.offset_BC).log_softmax(dim=1)
        ours_BC = attempt.logits_BC.log_softmax(dim=1)
        distance = kl_div(ours_BC, theirs_BC, reduction="batchmean", log_target=True)
        return self._rule.loss(attempt) + WEIGHT * distance

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The rule's: the teacher is saved with the learner."""
        return self._rule.state()

    def restore(
        self,
        student: Student,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
    ) -> None:
        """The rule's."""
        self._rule.restore(student, state, row_of_I)
