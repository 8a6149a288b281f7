"""What of a log is learnt, and what is held out to judge by.

Legend: `N` events.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner.pretraining_config import PretrainConfig
from learner.pretraining_loss import Popularity
from learner.sequences import Sequences, Windows, last_windows


class Split(NamedTuple):
    """A log in two parts."""

    train: Sequences
    popularity: Popularity
    """Of what is learnt."""
    valid: Windows
    """Of the whole log: each ends with an event that is held out."""


def split(sequences: Sequences, items: int, config: PretrainConfig) -> Split:
    """Hold out as the configuration says; at most `valid_max` events are ranked."""
    held_N = hold_out(sequences, config)
    popularity = Popularity(sequences.rows_N[~held_N], items)
    at_N = np.flatnonzero(held_N & with_past(sequences))
    if len(at_N) > config.valid_max:
        generator = np.random.default_rng((config.seed, 0))
        at_N = np.sort(generator.choice(at_N, config.valid_max, replace=False))
    valid = last_windows(sequences, at_N, config.steps)
    return Split(sequences.only(~held_N), popularity, valid)


def hold_out(sequences: Sequences, config: PretrainConfig) -> NDArray[np.bool_]:
    """Which events validate."""
    held_N = np.zeros(len(sequences.rows_N), np.bool_)
    if config.holdout == "last":
        long = sequences.ends_S - sequences.starts_S > 1
        held_N[sequences.ends_S[long] - 1] = True
    elif len(held_N):
        last = max(1, int(len(held_N) * config.valid_share))
        held_N |= sequences.ts_N > np.sort(sequences.ts_N)[-last - 1 if last < len(held_N) else 0]
    return held_N


def with_past(sequences: Sequences) -> NDArray[np.bool_]:
    """Which events are not the first of their user."""
    later_N = np.ones(len(sequences.rows_N), np.bool_)
    later_N[sequences.starts_S[sequences.starts_S < sequences.ends_S]] = False
    return later_N
