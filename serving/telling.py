"""What a list tells of its items: title, score, why it is there, and a sentence about it.

Legend: `B` lists, `P` items of a list, `T` steps of a history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

from features.store import UserFeatures
from learner.texts.facts import Facts, facts_of
from serving.carriers import Least
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.ranker import NOWHERE, Floats, Ranker, Rows
from serving.reasons import Newness, Reason, explain_many, past_rows
from stream.clock import Clock
from stream.cut import cut
from stream.events import Because, ItemVector, RecommendedItem, Step

TITLE_CHARS = 200
"""Titles are cut in answers: 200 items with the longest ids still fit a record of 1 MiB."""

Items = tuple[RecommendedItem, ...]


class Speaks(Protocol):
    """What says a sentence about each item, as `learner.texts.speaker.Speaker` does."""

    def sentences(self, facts: Sequence[Facts]) -> list[str]:
        """One sentence for each item with its reason."""


class Teller:
    """Tells of the items of one shop's lists.

    Parameters
    ----------
    speaker
        Says the sentences; without one, there are none.
    """

    def __init__(
        self, index: ItemIndex, config: ServingConfig, clock: Clock, speaker: Speaks | None = None
    ) -> None:
        self._index = index
        self._new_item_s = config.new_item_s
        self._least = Least(config.because_evidence, config.because_similarity)
        self._clock = clock
        self._speaker = speaker

    def items(
        self,
        lists: Sequence[tuple[Rows, Floats]],
        histories: Sequence[Sequence[Step]],
        features: Sequence[UserFeatures | None],
        ranker: Ranker,
    ) -> list[Items]:
        """What is told of each list, given as rows of the catalogue with their scores.

        Parameters
        ----------
        histories
            What the users did, oldest first.
        features
            What is known of them.
        ranker
            Says which past steps speak for an item.
        """
        catalog = self._index.catalog
        past_BT = past_rows(catalog, histories)
        rows_BP = _side_by_side([rows_P for rows_P, _ in lists])
        if past_BT.shape[1]:
            evidence_BPT = ranker.evidence_many(past_BT, rows_BP)
        else:
            evidence_BPT = np.zeros((*rows_BP.shape, 0), np.float32)
        reasons = explain_many(
            rows_BP,
            histories,
            past_BT,
            evidence_BPT,
            catalog,
            newness=Newness.of(self._index, self._clock.now_ms(), self._new_item_s),
            top_categories=[user.top_category if user else "" for user in features],
            least=self._least,
        )
        why = [
            [
                _Why(catalog.item(row), score, reason)
                for row, score, reason in zip(
                    rows_P.tolist(), scores_P.tolist(), reasons_P, strict=True
                )
            ]
            for (rows_P, scores_P), reasons_P in zip(lists, reasons, strict=True)
        ]
        words = self._words([one for ones in why for one in ones])
        return [tuple(_told(one, next(words)) for one in ones) for ones in why]

    def _words(self, every: Sequence[_Why]) -> Iterator[str | msgspec.UnsetType]:
        """A sentence for each item, where there is a speaker."""
        if self._speaker is None:
            return repeat(msgspec.UNSET)
        facts = [facts_of(item, reason.text) for item, _, reason in every]
        return iter(self._speaker.sentences(facts))


class _Why(NamedTuple):
    item: ItemVector
    score: float
    reason: Reason


def _told(why: _Why, text: str | msgspec.UnsetType) -> RecommendedItem:
    item, score, reason = why
    return RecommendedItem(
        item_id=item.item_id,
        score=round(score, 6),
        title=cut(item.title, TITLE_CHARS),
        reason=reason.text,
        because_item=reason.because_item,
        because=tuple(Because(step.item_id, step.kind, step.ts_ms) for step in reason.events)
        or msgspec.UNSET,
        text=text,
    )


def _side_by_side(lists: Sequence[Rows]) -> Rows:
    """Lists of different lengths as lines of one array, padded with -1."""
    lengths_B = np.array([len(rows_P) for rows_P in lists], np.int64)
    rows_BP = np.full((len(lists), int(lengths_B.max(initial=0))), NOWHERE, np.int32)
    rows_BP[np.arange(rows_BP.shape[1]) < lengths_B[:, None]] = np.concatenate(lists)
    return rows_BP
