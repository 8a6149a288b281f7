"""Examples kept for replay: a ring of what was ranked and learnt last.

Legend: `N` examples kept, `B` of a batch, `T` past steps, `L` listed candidates, `F` features.

The features are those of the moment at which the example was ranked; only the transformer's own
are computed again, because it has changed since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories, joined
from learner.features import F


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch to learn from: histories, listed candidates, and where the target stands in each."""

    past: Histories
    rows_BL: NDArray[np.int32]
    features_BLF: NDArray[np.float32]
    target_B: NDArray[np.int32]

    def __len__(self) -> int:
        """The number of examples. The target is always listed first."""
        return len(self.rows_BL)

    def only(self, keep_B: NDArray[np.bool_]) -> Lesson:
        """Some of the examples."""
        at = np.flatnonzero(keep_B)
        return Lesson(
            self.past.take(at),
            self.rows_BL[at],
            self.features_BLF[at],
            self.target_B[at],
        )


def joined_lessons(parts: Sequence[Lesson]) -> Lesson:
    """Several lessons as one."""
    return Lesson(
        joined([part.past for part in parts]),
        np.concatenate([part.rows_BL for part in parts]),
        np.concatenate([part.features_BLF for part in parts]),
        np.concatenate([part.target_B for part in parts]),
    )


_FIELDS = ("rows_BT", "kinds_BT", "ts_BT", "ratings_BT", "now_B", "events_B")


class Replay:
    """A ring buffer of the newest `size` examples."""

    def __init__(self, size: int, steps: int, listed: int) -> None:
        self.size = size
        self.added = 0
        self._past = Histories(
            np.full((size, steps), -1, np.int32),
            np.zeros((size, steps), np.int8),
            np.zeros((size, steps), np.int64),
            np.zeros((size, steps), np.float32),
            np.zeros(size, np.int64),
            np.zeros(size, np.int32),
        )
        self._rows_NL = np.full((size, listed), -1, np.int32)
        self._features_NLF = np.zeros((size, listed, F), np.float16)
        self._target_N = np.full(size, -1, np.int32)

    def __len__(self) -> int:
        """How many examples are kept."""
        return min(self.added, self.size)

    @property
    def past(self) -> Histories:
        """The histories of the whole ring, empty places included. A view: don't write."""
        return self._past

    def add(self, lesson: Lesson) -> None:
        """Keep a batch, in the place of the oldest."""
        if not self.size:
            return
        at = (self.added + np.arange(len(lesson))) % self.size
        steps = self._past.rows_BT.shape[1]
        for name in _FIELDS:
            values = getattr(lesson.past, name)
            getattr(self._past, name)[at] = values[:, -steps:] if values.ndim > 1 else values
        self._rows_NL[at] = lesson.rows_BL
        self._features_NLF[at] = lesson.features_BLF
        self._target_N[at] = lesson.target_B
        self.added += len(lesson)

    def sample(self, count: int, generator: np.random.Generator) -> Lesson:
        """A batch drawn evenly, without repetition."""
        at = generator.choice(len(self), min(count, len(self)), replace=False)
        return Lesson(
            self._past.take(at),
            self._rows_NL[at],
            self._features_NLF[at].astype(np.float32),
            self._target_N[at],
        )

    def none(self) -> Lesson:
        """A lesson without examples."""
        at = np.zeros(0, np.int64)
        return Lesson(
            self._past.take(at),
            self._rows_NL[at],
            self._features_NLF[at].astype(np.float32),
            self._target_N[at],
        )

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps."""
        n = len(self)
        kept: dict[str, NDArray[np.generic]] = {
            name: getattr(self._past, name)[:n] for name in _FIELDS
        }
        return kept | {
            "listed_NL": self._rows_NL[:n],
            "features_NLF": self._features_NLF[:n],
            "target_N": self._target_N[:n],
            "added": np.array([self.added]),
        }

    def restore(
        self, state: Mapping[str, NDArray[np.generic]], row_of_I: NDArray[np.int64]
    ) -> None:
        """Take a snapshot; its item `i` has the row `row_of_I[i]` here, negative if it is gone."""
        n = len(state["target_N"])
        for name in _FIELDS:
            getattr(self._past, name)[:n] = state[name]
        for rows_N, saved in (
            (self._past.rows_BT, state["rows_BT"]),
            (self._rows_NL, state["listed_NL"]),
            (self._target_N, state["target_N"]),
        ):
            rows = saved.astype(np.int64)
            rows_N[:n] = np.where(rows >= 0, row_of_I[rows], -1)
        self._features_NLF[:n] = state["features_NLF"]
        self.added = int(state["added"][0])
