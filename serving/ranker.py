"""What serving asks of a model: to rank many users at once, and to say why.

Legend: `B` users, `K` candidates, `P` items of a list, `T` steps of a history.

`learner.scorer.Scorer` is such a ranker; tests use one whose answers a reader can see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from stream.events import AdapterVersion, Step

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Rows = NDArray[np.int32]

NOWHERE = -1
"""Pads lists of rows that are shorter than asked for."""


class RankedRows(Protocol):
    """The best rows of the catalogue for many users, best first."""

    @property
    def rows_BK(self) -> Rows:
        """Rows of the catalogue, padded with -1."""

    @property
    def scores_BK(self) -> Floats:
        """Their scores; the padding's mean nothing."""


class Ranker(Protocol):
    """A model version, bound to this process's catalogue."""

    @property
    def version(self) -> int | None:
        """The number of the published version; `None` for the untrained prior."""

    @property
    def newest_ms(self) -> int:
        """The newest event time that it has learnt from; 0 for the untrained prior."""

    def rank_many(
        self,
        histories: Sequence[Sequence[Step]],
        now_ms: int,
        k: int,
        allowed: Bools | None,
        allowed_per_user: Sequence[Bools | None],
        *,
        seen: Sequence[bytes] = (),
    ) -> RankedRows:
        """Rank the allowed rows of the catalogue for each history, oldest step first.

        `seen` are the codes of what each user had before, as in `stream.events.Example`.
        """

    def evidence_many(self, past_BT: Rows, rows_BP: Rows) -> Floats:
        """How much each past step speaks for each item, shape (B, P, T); 0 says nothing.

        The newest step is in the last column; rows that are no items are negative.
        """

    def taken(self, rows_N: Rows) -> NDArray[np.int64]:
        """How often shoppers took items, as far as the version has learnt."""


class Models(Protocol):
    """Where rankers come from. Loading is slow and may run in a thread, binding is quick."""

    def untrained(self, catalog: Catalog) -> Ranker:
        """The prior that ranks while no version is published."""

    def load(self, announced: AdapterVersion) -> Any:
        """Read and check a version's files; touches nothing that another thread changes.

        Raises
        ------
        Exception
            Whatever is wrong with the file: the version is refused, the live one goes on.
        """

    def bind(self, announced: AdapterVersion, loaded: Any, catalog: Catalog) -> Ranker:
        """Make a ranker of what `load` returned; runs between two batches."""
