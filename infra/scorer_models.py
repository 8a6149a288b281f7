"""Model versions for serving: the learner's scorer, as `serving.ranker.Models` asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.config import LearnerConfig
from learner.scorer import Ranked, Scorer
from learner.snapshot import load_version
from learner.state import ranker_of
from stream.events import AdapterVersion, Step
from stream.metrics import NEWCOMERS_RANKED


class VersionedScorer:
    """A scorer that knows which version it is; passes for `serving.ranker.Ranker`."""

    def __init__(self, scorer: Scorer, version: int | None, newest_ms: int) -> None:
        self._scorer = scorer
        self.version = version
        self.newest_ms = newest_ms

    def rank_many(
        self,
        histories: Sequence[Sequence[Step]],
        now_ms: int,
        k: int,
        allowed: NDArray[np.bool_] | None,
        allowed_per_user: Sequence[NDArray[np.bool_] | None],
        *,
        seen: Sequence[bytes] = (),
    ) -> Ranked:
        """Rank the allowed rows of the catalogue for each history."""
        found = self._scorer.rank_many(histories, now_ms, k, allowed, allowed_per_user, seen=seen)
        for events, users in self._scorer.take_newcomers().items():
            NEWCOMERS_RANKED.labels(events=events).inc(users)
        return found

    def evidence_many(
        self, past_BT: NDArray[np.int32], rows_BP: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """How much each past step speaks for each item, shape (B, P, T)."""
        return self._scorer.evidence_many(past_BT, rows_BP)

    def taken(self, rows_N: NDArray[np.int32]) -> NDArray[np.int64]:
        """How often items were taken, as far as the version has learnt."""
        return self._scorer.taken(rows_N)


class ScorerModels:
    """Loads published versions from their folders; passes for `serving.ranker.Models`.

    Parameters
    ----------
    config
        The learner's settings, for the prior without a version and for the device.
    """

    def __init__(self, config: LearnerConfig) -> None:
        self._config = config

    def untrained(self, catalog: Catalog) -> VersionedScorer:
        """The prior that ranks while no version is published."""
        return VersionedScorer(Scorer.untrained(catalog, self._config), None, 0)

    def load(self, announced: AdapterVersion) -> Any:
        """Read a version's files and check their hash."""
        return load_version(announced)

    def bind(self, announced: AdapterVersion, loaded: Any, catalog: Catalog) -> VersionedScorer:
        """Bind what `load` returned to the catalogue."""
        if loaded.meta["width"] != catalog.width:
            msg = (
                f"version {announced.version} was learnt on text vectors of width "
                f"{loaded.meta['width']}, the catalogue's is {catalog.width}: set learner.encoder "
                "here as it is at the learner"
            )
            raise ValueError(msg)
        ranker = ranker_of(loaded, catalog, self._config.device)
        newest_ms = ranker.experts.popularity.now_ms
        return VersionedScorer(Scorer(ranker), announced.version, newest_ms)
