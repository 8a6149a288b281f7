"""What a version knows of users and items as vectors, lent to other algorithms.

An item's vector and a user's have a product that says how well they go together: it is what the
behaviour transformer ranks by, before counts and weights have their say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from learner.batch import make_histories
from learner.behaviour import Steps
from learner.ranker import Ranker
from stream.events import Step

_USERS_AT_ONCE = 512


class Lent(NamedTuple):
    """Vectors of one width: items by row of the catalogue, users as they were asked for."""

    items_ID: NDArray[np.float32]
    users_BD: NDArray[np.float32]


@torch.no_grad()
def lend(ranker: Ranker, histories: Sequence[Sequence[Step]], now_ms: int) -> Lent | None:
    """The vectors of all items, and of the users with these histories.

    Returns
    -------
    Lent or None
        `None` where the version has no transformer, or one that has learnt nothing yet.
    """
    model = ranker.behaviour
    if model is None or not ranker.trained:
        return None
    towers_ID = ranker.tower.towers_ID(model, ranker.residuals)
    steps = ranker.config.model.transformer_steps
    found = [np.zeros((0, towers_ID.shape[1]), np.float32)]
    for start in range(0, len(histories), _USERS_AT_ONCE):
        some = histories[start : start + _USERS_AT_ONCE]
        past = make_histories(
            ranker.catalog,
            some,
            [now_ms] * len(some),
            [len(history) for history in some],
            ranker.config.model.steps,
        )
        laid = Steps(past, steps, ranker.device)
        rows_BT = np.maximum(laid.rows_BT, 0).astype(np.int64)
        laid.item_BT = torch.from_numpy(rows_BT).to(ranker.device)
        with ranker.autocast():
            users_BD = model.users(towers_ID, laid)
        found.append(users_BD.float().cpu().numpy())
    return Lent(towers_ID.float().cpu().numpy(), np.concatenate(found))
