"""The frame of the baselines: ties, misses, consumed items, and how fresh a history is."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from learner.baselines.covisitation import CoVisitation, NextItem
from learner.baselines.full_ranking import FullRanking, RankingConfig, Scores, rank_targets
from learner.baselines.protocol import Events


class ByNumber(FullRanking):
    """Item 0 before item 1 before item 2, for everybody, always."""

    def score(self, batch: Events, history_BT: NDArray[np.int32]) -> Scores:
        n_items = self.config.n_items
        return np.tile(-np.arange(n_items, dtype=np.float32), (batch.n_events, 1))

    def count(self, batch: Events, history_BT: NDArray[np.int32]) -> None:
        """Learn nothing."""


def log(visits: list[tuple[int, int]], ts_ms: list[int] | None = None) -> Events:
    """Events from pairs of user and item."""
    user, item = np.array(visits, np.int32).reshape(-1, 2).T
    times = np.arange(len(visits)) if ts_ms is None else np.array(ts_ms)
    return Events(user, item, np.zeros(len(visits), np.int8), times.astype(np.int64), user)


def by_number(
    histories: Literal["batch", "event", "instant"] = "batch", *, mask: bool = True
) -> ByNumber:
    return ByNumber(
        "by number",
        RankingConfig(n_items=5, mask_consumed=mask, histories=histories, all_known=True),
    )


def test_equal_scores_share_the_middle_of_their_places() -> None:
    scores = np.array([[9, 5, 5, 5, 1]] * 5, np.float32)
    # 9 is first; the three 5s hold places 2, 3, 4; 1 is fifth.
    assert rank_targets(scores, np.arange(5, dtype=np.int32)).tolist() == [1, 3, 3, 3, 5]


def test_one_constant_for_all_earns_the_middle_not_the_top() -> None:
    assert rank_targets(np.zeros((1, 101), np.float32), np.array([7], np.int32)).tolist() == [51]


def test_an_item_is_a_miss_until_a_micro_batch_with_it_was_learnt() -> None:
    model = ByNumber("by number", RankingConfig(n_items=5))
    batch = log([(1, 3), (2, 3)])
    assert model.rank(batch).tolist() == [math.inf, math.inf]
    model.learn(batch)
    # Only item 3 is known, so it is the first of one.
    assert model.rank(batch).tolist() == [1.0, 1.0]


def test_consumed_items_leave_the_ranking_of_their_user_alone() -> None:
    model = by_number()
    model.learn(log([(1, 0), (1, 2)]))
    ranked = model.rank(log([(1, 3), (2, 3)]))
    assert ranked.tolist() == [2.0, 4.0]  # 1, 3 for user 1; 0, 1, 2, 3 for user 2


def test_a_repeat_is_a_miss_where_repeats_are_masked() -> None:
    model = by_number()
    model.learn(log([(1, 0)]))
    assert model.rank(log([(1, 0), (2, 0)])).tolist() == [math.inf, 1.0]
    unmasked = by_number(mask=False)
    unmasked.learn(log([(1, 0)]))
    assert unmasked.rank(log([(1, 0)])).tolist() == [1.0]


@pytest.mark.parametrize(
    ("histories", "ranks"),
    [("batch", [1.0, 2.0, 3.0]), ("event", [1.0, 1.0, 1.0]), ("instant", [1.0, 2.0, 1.0])],
)
def test_what_was_consumed_inside_the_batch_counts_as_histories_say(
    histories: Literal["batch", "event", "instant"], ranks: list[float]
) -> None:
    model = by_number(histories)
    # Items 0 and 1 in the same instant, item 2 later.
    assert model.rank(log([(1, 0), (1, 1), (1, 2)], ts_ms=[5, 5, 6])).tolist() == ranks


@pytest.mark.parametrize(
    ("histories", "ranks"),
    [("batch", [2.5, 2.5, 2.5]), ("event", [2.5, 1.0, 1.0]), ("instant", [2.5, 2.5, 1.0])],
)
def test_the_last_item_inside_the_batch_counts_as_histories_say(
    histories: Literal["batch", "event", "instant"], ranks: list[float]
) -> None:
    config = RankingConfig(n_items=4, histories=histories)
    model = CoVisitation("next", config, NextItem(4))
    model.learn(log([(8, 0), (8, 1), (8, 2), (7, 3)]))  # everybody goes 0, 1, 2
    assert model.rank(log([(1, 0), (1, 1), (1, 2)], ts_ms=[5, 5, 6])).tolist() == ranks
