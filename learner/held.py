"""How much memory the learner's tables hold: what grows with the catalogue, and what does not.

Per item of the catalogue, with the default sizes: 2.6 kB of neighbours, 40 bytes of popularity,
24 of ages and repeats, and 261 of residual vector, admitted or not, as a matrix has all rows.
Neighbours and residuals double their room when it is full. Replay is bounded by its size, and what
waits for its items (`learner.late`) by number. Each version that the gate compares holds as much
again, without replay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from learner.online import OnlineLearner


def held_bytes(learner: OnlineLearner) -> dict[str, int]:
    """Bytes by table; the names are a closed set: a metric's label."""
    experts = learner.ranker.experts
    newcomers = learner.ranker.newcomers
    now = bytes_of(newcomers.pulse) if newcomers is not None else 0
    pairs = (experts.following, experts.skipping, experts.together)
    return {
        "popularity": bytes_of(experts.popularity) + now,
        "neighbours": sum(map(bytes_of, pairs)),
        "items": bytes_of(experts),
        "residuals": bytes_of(learner.ranker.residuals),
        "replay": bytes_of(learner.replay) + bytes_of(learner.replay.past),
    }


def bytes_of(part: Any) -> int:
    """Bytes of the arrays that an object holds itself, not through another object.

    >>> class Table:
    ...     def __init__(self):
    ...         self.counts, self.name = np.zeros(3), "three"
    >>> bytes_of(Table())
    24
    """
    names = getattr(part, "__slots__", None) or vars(part)
    values = (getattr(part, name) for name in names)
    return sum(int(value.nbytes) for value in values if isinstance(value, np.ndarray | Tensor))
