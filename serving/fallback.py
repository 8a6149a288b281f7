"""What is answered when something is missing: a model, a user, a catalogue.

| missing | answer | flag |
|---|---|---|
| every item | an empty list, at once | `empty_catalogue` |
| a published version | the untrained prior: text and recency | `no_model` |
| the user's features | the model's ranking of an empty history: what is popular now | `cold_user` |
| a model that can rank this request | the newest items that pass the filters | `no_model` |
| enough ranked items | the list is filled with the newest items that pass the filters | unchanged |

The first line that holds gives the flag.
"""

from __future__ import annotations

import numpy as np

from features.store import UserFeatures
from serving.ranker import Bools, Rows
from stream.events import AnswerPath


def answer_path(*, offered: int, version: int | None, features: UserFeatures | None) -> AnswerPath:
    """Which way an answer goes.

    >>> answer_path(offered=0, version=None, features=None)
    'empty_catalogue'
    >>> answer_path(offered=9, version=None, features=None)
    'no_model'
    >>> answer_path(offered=9, version=3, features=None)
    'cold_user'
    """
    if offered == 0:
        return "empty_catalogue"
    if version is None:
        return "no_model"
    if features is None or not features.recent_items:
        return "cold_user"
    return "model"


def fill_rows(rows_K: Rows, wanted: int, allowed: Bools) -> Rows:
    """Append the newest allowed rows to a list that is too short.

    >>> fill_rows(np.array([3], np.int32), 3, np.array([True, True, False, True])).tolist()
    [3, 1, 0]
    """
    missing = wanted - len(rows_K)
    if missing <= 0:
        return rows_K[:wanted]
    free = allowed.copy()
    free[rows_K] = False
    newest = np.flatnonzero(free)[::-1][:missing]
    return np.concatenate([rows_K, newest.astype(np.int32)])
