"""From one shop to the next: what a learner has found out about shoppers, without the shop.

What counts of a candidate, how a history is read, and which correction helps are much alike in all
shops; which items there are and who takes them is not. So a new shop's learner can start with
another's weights: those of the features and their curvature (how sure they are), the correction
nets with their moments, how much each arm counts, and the adapters of the transformer. Counts,
items, users, offsets and the residual vectors of items stay behind: nothing of a shop can be read
in another's lists.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from learner.grown import CURVATURE, grown
from learner.snapshot import Arrays, read_snapshot
from learner.stacking import RIDGE
from stream.errors import BadRecord, SettingsError

if TYPE_CHECKING:
    from learner.ranker import Ranker

SURE_OF = 0.1
"""What another shop's events count for beside this one's: with more, a shop that differs takes
long to say so; with less, its first hundreds of events turn the weights over."""

_ARMS_SURE_OF = 0.5


def start_from(ranker: Ranker, folder: str) -> None:
    """Give a fresh ranker what another shop's learner knows.

    Parameters
    ----------
    folder
        A checkpoint or a published version of the other.

    Raises
    ------
    SettingsError
        If there is none, or its model has another shape.
    """
    try:
        saved = read_snapshot(Path(folder))
        take(ranker, saved.arrays)
    except (BadRecord, KeyError, RuntimeError, ValueError) as error:
        msg = (
            f"`learner.start` = {folder!r} can't be started from ({error}): name the folder of a "
            "version of a learner with the same `learner.model`, such as models/versions/NUMBER"
        )
        raise SettingsError(msg) from error


@torch.no_grad()
def take(ranker: Ranker, arrays: Arrays) -> None:
    """The same, from the arrays of a snapshot."""
    arrays = grown(arrays)
    curvature_SFF = arrays[CURVATURE]
    ridge_FF = RIDGE * np.eye(curvature_SFF.shape[-1], dtype=curvature_SFF.dtype)
    ranker.stacking.restore(
        {
            "weights_SF": arrays["stacking/weights_SF"],
            "curvature_SFF": ridge_FF + SURE_OF * (curvature_SFF - ridge_FF),
        }
    )
    for part, module in (("correction", ranker.correction), ("behaviour", ranker.behaviour)):
        if module is None:
            continue
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(arrays[f"{part}/{name}"].copy()))
    ranker.weighing.losses = _ARMS_SURE_OF * arrays["weighing"]
    ranker.trained = bool(arrays["switches"][0])
    ranker.tower.stale()
