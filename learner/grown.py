"""Snapshots of releases whose candidates had fewer features, as this one reads them.

New features come last in `learner.features.NAMES`. Of what was saved without them, weights and
moments are zero and curvature is what it is before anything was seen, so that a learner goes on as
it was and learns of the new ones what they are worth.

Legend: `S` segments, `F` features, `R` nets, `H` hidden units, `N` examples, `L` candidates.
"""

from __future__ import annotations

import numpy as np

from learner.features import F
from learner.snapshot import Arrays
from learner.stacking import RIDGE

_AXIS = {
    "stacking/weights_SF": 1,
    "correction/first_RFH": 1,
    "net_adam/mean.first_RFH": 1,
    "net_adam/square.first_RFH": 1,
    "replay/features_NLF": 2,
}
"""Which arrays have an axis of features, and which of their axes it is."""

CURVATURE = "stacking/curvature_SFF"


def grown(arrays: Arrays) -> Arrays:
    """The arrays of a snapshot, as wide as this release's; the others as they are.

    Examples
    --------
    >>> old = {"stacking/weights_SF": np.ones((2, F - 1)), CURVATURE: np.ones((2, F - 1, F - 1))}
    >>> new = grown(old)
    >>> new["stacking/weights_SF"][:, -1].tolist(), float(new[CURVATURE][0, -1, -1])
    ([0.0, 0.0], 1.0)
    """
    if arrays[CURVATURE].shape[-1] == F:
        return arrays
    more = F - arrays[CURVATURE].shape[-1]
    wide = dict(arrays)
    for name, axis in _AXIS.items():
        if name in arrays:
            room = [(0, more if at == axis else 0) for at in range(arrays[name].ndim)]
            wide[name] = np.pad(arrays[name], room)
    curvature_SFF = np.pad(arrays[CURVATURE], ((0, 0), (0, more), (0, more)))
    at = np.arange(F - more, F)
    curvature_SFF[:, at, at] = RIDGE
    return wide | {CURVATURE: curvature_SFF}
