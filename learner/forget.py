"""What the learner keeps of single users, and how it is erased.

| what | of whom | when a user is forgotten |
|---|---|---|
| examples that wait for their item | by user id | theirs are dropped |
| the ring of examples to replay | nobody's by name, so all together | emptied |
| the newest reviews, what users usually give | by user id | theirs are dropped by the reader |
| counts and weights | of all users together | stay, and age out |

An emptied ring fills again with the next examples, and costs some rehearsal until then. Weights
can't be taken back, but each event's part of them is bounded and fades.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection

from learner.online import OnlineLearner
from learner.replay import Replay
from learner.snapshot import Snapshots


def forget_users(learner: OnlineLearner, user_ids: Collection[str]) -> None:
    """Drop all that is kept of single events, if any user is to be forgotten."""
    if not user_ids:
        return
    learner.late.forget(user_ids)
    train, model = learner.config.train, learner.config.model
    learner.replay = Replay(train.replay_size, model.transformer_steps, train.listed)


def only_newest(checkpoints: Snapshots) -> None:
    """Remove all checkpoints but the newest: they hold what has been dropped since."""
    for number in checkpoints.numbers()[:-1]:
        shutil.rmtree(checkpoints.path(number))
    for left in checkpoints.folder.glob(".writing-*"):
        shutil.rmtree(left, ignore_errors=True)
