"""Session kNN on sessions whose neighbours can be read off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from learner.baselines.full_ranking import RankingConfig
from learner.baselines.protocol import Events
from learner.baselines.session_knn import SessionKnn, SessionKnnConfig

A, B, C, D, E, F = range(6)
CONFIG = RankingConfig(n_items=6)
NO_HISTORY = np.full((1, 10), -1, np.int32)


def sessions(*walks: tuple[int, list[int]]) -> Events:
    """Whole sessions, one after the other: (session, items)."""
    session = np.array([code for code, items in walks for _ in items], np.int32)
    item = np.array([item for _, items in walks for item in items], np.int32)
    ts_ms = 1000 * np.arange(item.size, dtype=np.int64)
    return Events(session, item, np.zeros(item.size, np.int8), ts_ms, session)


def scores_in(model: SessionKnn, session: int) -> NDArray[np.float32]:
    """Scores of all items for the next click of a session."""
    scores: NDArray[np.float32] = model.score(sessions((session, [A])), NO_HISTORY)[0]
    return scores


def test_score_is_similarity_times_match_times_rarity() -> None:
    model = SessionKnn(CONFIG)
    model.learn(sessions((1, [A, B, C]), (2, [B, D]), (3, [E, F]), (9, [A, B])))
    # Session 9 = [a, b]: b is newest, weight 1; a weighs 1/2.
    # Session 1 shares both: similarity 1.5, newest shared b at place 1, match weight .9.
    # Session 2 shares b: similarity 1, match weight .9. Session 3 shares nothing.
    # Rarity: log of 4 sessions / sessions that hold the item: a 2, b 3, c 1, d 1.
    wanted = [
        1.5 * 0.9 * math.log(4 / 2),
        (1.5 * 0.9 + 0.9) * math.log(4 / 3),
        1.5 * 0.9 * math.log(4),
        0.9 * math.log(4),
        0,
        0,
    ]
    assert scores_in(model, 9) == pytest.approx(wanted, rel=1e-5)


def test_an_older_match_weighs_less() -> None:
    model = SessionKnn(CONFIG)
    model.learn(sessions((1, [A, C]), (2, [B, D]), (9, [A, B])))
    scores = scores_in(model, 9)
    # c comes by a, at place 2: 1/2 * .8; d by b, at place 1: 1 * .9. Both are in 1 of 3 sessions.
    assert scores[[C, D]] == pytest.approx([0.4 * math.log(3), 0.9 * math.log(3)], rel=1e-5)


def test_only_the_most_recent_sessions_are_looked_at() -> None:
    model = SessionKnn(CONFIG, SessionKnnConfig(recent=1))
    model.learn(sessions((1, [A, C]), (2, [A, D]), (9, [A])))
    # The running session is never its own neighbour, yet took the one place in a's list.
    assert not scores_in(model, 9).any()
    model.learn(sessions((3, [A, E])))
    assert np.flatnonzero(scores_in(model, 9)).tolist() == [E]


def test_only_the_most_similar_sessions_give_items_and_newer_ones_win_ties() -> None:
    model = SessionKnn(CONFIG, SessionKnnConfig(neighbours=1))
    model.learn(sessions((1, [A, C]), (2, [B, A, D]), (3, [A, E]), (9, [B, A]), (8, [A])))
    assert scores_in(model, 9)[D] > 0 == scores_in(model, 9)[E]
    # Session 8 shares a with all; the newest of them, session 9, comes first.
    assert np.flatnonzero(scores_in(model, 8)).tolist() == [B]


def test_an_unfinished_session_is_a_neighbour_as_soon_as_it_is_learnt() -> None:
    model = SessionKnn(CONFIG)
    model.learn(sessions((9, [A]), (1, [A]), (4, [F])))
    assert scores_in(model, 9)[C] == 0
    model.learn(sessions((1, [C])))
    assert scores_in(model, 9)[C] > 0


def test_a_new_session_has_one_big_tie() -> None:
    model = SessionKnn(CONFIG)
    model.learn(sessions((1, [A, B, C])))
    assert model.rank(sessions((2, [B]))).tolist() == [2.0]


def test_a_known_user_begins_a_session_with_his_last_items() -> None:
    model = SessionKnn(CONFIG)
    walks = sessions((1, [A, C]), (2, [B, D]), (3, [A]))
    model.learn(walks._replace(user=np.array([1, 1, 2, 2, 7], np.int32)))
    # User 7 had a in session 3; his session 4 is empty, so c is the guess (a and c: 2 and 1 of 3).
    asked = sessions((4, [C]), (5, [C]))._replace(user=np.array([7, 8], np.int32))
    assert model.rank(asked).tolist() == [1.0, 2.5]


def test_fresh_histories_see_the_sessions_own_clicks_inside_the_batch() -> None:
    stale = SessionKnn(CONFIG)
    fresh = SessionKnn(RankingConfig(n_items=6, histories="event"))
    for model in (stale, fresh):
        model.learn(sessions((1, [A, C]), (2, [B, D])))
    batch = sessions((9, [A, C]))
    assert stale.rank(batch).tolist() == [2.5, 2.5]
    assert fresh.rank(batch)[0] == 2.5
    assert fresh.rank(batch)[1] == 1.5  # a and c, equally rare, before b and d
