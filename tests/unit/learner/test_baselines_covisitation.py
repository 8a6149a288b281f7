"""Co-visitation and blends, on logs small enough to count on fingers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from learner.baselines.blend import Blend
from learner.baselines.covisitation import CoVisitation, NextItem, Window
from learner.baselines.full_ranking import RankingConfig
from learner.baselines.protocol import Events
from learner.baselines.rows import NONE

TEA, POT, CUP, MUG = 0, 1, 2, 3
CONFIG = RankingConfig(n_items=4)


def log(visits: list[tuple[int, int]]) -> Events:
    """Events from pairs of user and item, a second apart."""
    user, item = np.array(visits, np.int32).reshape(-1, 2).T
    ts_ms = 1000 * np.arange(len(visits), dtype=np.int64)
    return Events(user, item, np.zeros(len(visits), np.int8), ts_ms, user)


# Three walks: tea, pot, cup / tea, pot / tea, cup. All from tea: pot twice, cup once.
WALKS = log([(1, TEA), (1, POT), (1, CUP), (2, TEA), (3, TEA), (2, POT), (3, CUP), (4, MUG)])


def test_next_item_gives_shares_of_moves() -> None:
    evidence = NextItem(4)
    CoVisitation("next", CONFIG, evidence).learn(WALKS)
    weight = evidence.weigh(np.array([[TEA], [POT], [CUP], [NONE]], np.int32))
    assert weight[0] == pytest.approx([0, 2 / 3, 1 / 3, 0])  # from tea
    assert weight[1] == pytest.approx([0, 0, 1, 0])  # from pot, always to cup
    assert not weight[2:].any()  # from cup nobody went on; nobody knows a first step


def test_next_item_ranks_by_the_users_last_item_only() -> None:
    model = CoVisitation("next", CONFIG, NextItem(4))
    model.learn(WALKS)
    model.learn(log([(9, CUP), (9, TEA)]))
    # After tea: pot 1st, cup 2nd; tea and mug have no evidence and share places 3 and 4.
    ranked = model.rank(log([(9, POT), (9, CUP), (9, TEA), (9, MUG)]))
    assert ranked.tolist() == [1.0, 2.0, 3.5, 3.5]


def test_a_user_without_history_gets_one_big_tie() -> None:
    model = CoVisitation("next", CONFIG, NextItem(4))
    model.learn(WALKS)
    assert model.rank(log([(77, TEA)])).tolist() == [2.5]  # the middle of 1..4


def test_window_is_a_cosine_of_counts() -> None:
    evidence = Window(4)
    CoVisitation("window", CONFIG, evidence).learn(WALKS)
    # Together: tea-pot 2 walks, tea-cup 2, pot-cup 1. Alone: tea 3, pot 2, cup 2, mug 1.
    tea_pot, tea_cup, pot_cup = 2 / math.sqrt(6), 2 / math.sqrt(6), 1 / 2
    weight = evidence.weigh(np.array([[TEA, NONE], [CUP, POT]], np.int32))
    assert weight[0] == pytest.approx([0, tea_pot, tea_cup, 0])
    assert weight[1] == pytest.approx([tea_pot + tea_cup, pot_cup, pot_cup, 0])


def test_window_hears_a_repeated_item_once_and_never_pairs_it_with_itself() -> None:
    evidence = Window(4)
    CoVisitation("window", CONFIG, evidence).learn(log([(1, TEA), (1, TEA), (1, POT)]))
    once = evidence.weigh(np.array([[TEA, NONE]], np.int32))
    twice = evidence.weigh(np.array([[TEA, TEA]], np.int32))
    assert once[0] == pytest.approx([0, 1 / math.sqrt(2), 0, 0])
    assert twice.tolist() == once.tolist()


def test_window_forgets_beyond_its_length() -> None:
    config = RankingConfig(n_items=4, history_length=2)
    evidence = Window(4)
    CoVisitation("window", config, evidence).learn(log([(1, TEA), (1, POT), (1, CUP), (1, MUG)]))
    weight = evidence.weigh(np.array([[MUG, NONE]], np.int32))
    assert np.flatnonzero(weight[0]).tolist() == [POT, CUP]


def test_blend_adds_logs_of_popularity_and_evidence() -> None:
    model = Blend(CONFIG, NextItem(4), weight=2.0, half_life_days=math.inf, floor=0.01)
    model.learn(WALKS)  # tea 3, pot 2, cup 2, mug 1 of 8
    scores = model.score(log([(9, TEA)]), np.array([[TEA]], np.int32))[0]
    share = np.array([3.25, 2.25, 2.25, 1.25]) / 9
    wanted = np.log(share) + 2 * np.log(0.01 + np.array([0, 2 / 3, 1 / 3, 0]))
    assert scores == pytest.approx(wanted, rel=1e-5)


def test_blend_is_popularity_for_a_stranger_and_follows_evidence_by_its_weight() -> None:
    # Mug is everybody's favourite; after tea one goes to pot.
    events = [(user, MUG) for user in range(100, 120)] + [(1, TEA), (1, POT), (2, TEA)]
    light, heavy = (Blend(CONFIG, NextItem(4), weight=w, floor=0.01) for w in (0.1, 2.0))
    for model in (light, heavy):
        model.learn(log(events))
        assert model.rank(log([(55, MUG)])).tolist() == [1.0]
    after_tea = log([(2, MUG), (2, POT)])
    assert light.rank(after_tea).tolist() == [1.0, 3.0]  # mug 20, tea 2, pot 1
    assert heavy.rank(after_tea).tolist() == [2.0, 1.0]
