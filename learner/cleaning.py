"""Cleaning: events that no shopper means, which are ranked and remembered but teach nothing.

Legend: `B` examples, `T` past steps.

| reason | what it is |
|---|---|
| `echo` | the same done to the same item again within a moment: a double click, a reload |
| `haste` | more events within a moment than a hand can make: a script |
| `metronome` | event after event at the same distance: a script that waits |

Only times that differ are counted, so that a log in whole seconds, minutes or days, or an order of
forty items, is nobody's haste. What one user does again and again over hours is held back by
`learner.influence`, what a crowd of new users does by `learner.trust`. There is nothing to
remember here: every example brings its user's newest steps along.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories
from learner.config import CleaningConfig

REASONS = ("echo", "haste", "metronome")


def noise_B(
    past: Histories, target_B: NDArray[np.int32], config: CleaningConfig
) -> NDArray[np.int8]:
    """Why each example teaches nothing: its place in `REASONS`, -1 where it does teach.

    Examples
    --------
    >>> def user(items, seconds, now_s):
    ...     ms = (1_000 * np.array([seconds])).astype(np.int64)
    ...     return Histories(np.array([items], np.int32), np.ones(ms.shape, np.int8), ms,
    ...         np.zeros(ms.shape, np.float32), np.array([int(1_000 * now_s)]), np.array([9]))
    >>> def why(past):
    ...     code = int(noise_B(past, np.array([4], np.int32), CleaningConfig())[0])
    ...     return None if code < 0 else REASONS[code]
    >>> why(user([7, 4], [0, 10], 10.5)), why(user([7, 4], [0, 10], 60))
    ('echo', None)
    >>> why(user(range(10, 20), [n / 10 for n in range(10)], 1.0))
    'haste'
    >>> why(user(range(10, 40), [30 * n for n in range(30)], 900))
    'metronome'
    >>> why(user(range(10, 40), [0] * 30, 0))  # one order of many items
    """
    code_B = np.full(len(past), -1, np.int8)
    real_BT = past.rows_BT >= 0
    age_BT = past.now_B[:, None] - past.ts_BT
    # From the weakest sign to the strongest: the last one that fits is given.
    same_BT = real_BT & (past.rows_BT == target_B[:, None])
    if len(past.doing_B):
        same_BT &= past.kinds_BT == past.doing_B[:, None]  # from the cart to the till is no echo
    echo_BT = same_BT & (age_BT >= 0) & (age_BT < 1_000 * config.echo_s)
    code_B[echo_BT.any(axis=1)] = REASONS.index("echo")
    gap_BT = _gaps(past)
    hasty_BT = real_BT & (age_BT >= 0) & (age_BT < 1_000 * config.haste_s) & (gap_BT > 0)
    code_B[hasty_BT.sum(axis=1) >= config.haste_events] = REASONS.index("haste")
    code_B[_metronome_B(gap_BT, real_BT, config)] = REASONS.index("metronome")
    return code_B


def _gaps(past: Histories) -> NDArray[np.int64]:
    """From each step to the next one, and from the newest to now, in milliseconds."""
    return np.diff(past.ts_BT, axis=1, append=past.now_B[:, None])


def _metronome_B(
    gap_BT: NDArray[np.int64], real_BT: NDArray[np.bool_], config: CleaningConfig
) -> NDArray[np.bool_]:
    events = config.metronome_events
    if gap_BT.shape[1] < events:
        return np.zeros(len(gap_BT), np.bool_)
    recent_BN = gap_BT[:, -events:].astype(np.float64)
    mean_B = recent_BN.mean(axis=1)
    all_there_B = real_BT[:, -events:].all(axis=1) & (recent_BN > 0).all(axis=1)
    return np.asarray(all_there_B & (recent_BN.std(axis=1) < config.metronome_spread * mean_B))
