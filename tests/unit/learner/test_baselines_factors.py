"""BPR-MF and River's BiasedMF: they learn who likes what, on a shop with two tribes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from learner.baselines.bpr import BprConfig, BprMf
from learner.baselines.full_ranking import FullRanking, RankingConfig
from learner.baselines.protocol import Events
from learner.baselines.reco_river import RiverBiasedMf, RiverConfig

N_USERS, N_ITEMS = 20, 20
CONFIG = RankingConfig(n_items=N_ITEMS, all_known=True)

MAKERS: list[Callable[[int], FullRanking]] = [
    lambda seed: BprMf(CONFIG, BprConfig(seed=seed)),
    lambda seed: RiverBiasedMf(CONFIG, RiverConfig(seed=seed)),
]
both = pytest.mark.parametrize("make", MAKERS, ids=["bpr", "river"])


def visits(user: list[int], item: list[int]) -> Events:
    users = np.array(user, np.int32)
    ts_ms = np.arange(users.size, dtype=np.int64)
    return Events(users, np.array(item, np.int32), np.zeros(users.size, np.int8), ts_ms, users)


def tribes(n_events: int, seed: int) -> Events:
    """Even users take even items, odd users odd ones."""
    random = np.random.default_rng(seed)
    user = random.integers(0, N_USERS, n_events)
    item = 2 * random.integers(0, N_ITEMS // 2, n_events) + user % 2
    return visits(user.tolist(), item.tolist())


def taught(model: FullRanking, events: Events) -> FullRanking:
    for a in range(0, events.n_events, 100):
        model.learn(events.between(a, a + 100))
    return model


@both
def test_a_user_gets_what_his_tribe_takes(make: Callable[[int], FullRanking]) -> None:
    model = taught(make(0), tribes(4000, seed=1))
    own, other = visits([0, 1], [4, 5]), visits([0, 1], [5, 4])
    # 10 of the 20 items are his tribe's.
    assert model.rank(own).max() <= 10
    assert model.rank(other).min() > 10


@both
def test_an_unknown_user_gets_what_most_take(make: Callable[[int], FullRanking]) -> None:
    favourite = visits(
        [u % N_USERS for u in range(600)], [3 if u % 3 else u % 20 for u in range(600)]
    )
    model = taught(make(0), favourite)
    assert model.rank(visits([5000], [3])).tolist() == [1.0]


@both
def test_two_runs_with_one_seed_are_bit_equal(make: Callable[[int], FullRanking]) -> None:
    events, judged = tribes(500, seed=2), tribes(50, seed=3)
    first, again, other = (taught(make(seed), events).rank(judged) for seed in (7, 7, 8))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_river_scores_as_river_predicts() -> None:
    model = RiverBiasedMf(CONFIG)
    taught(model, tribes(300, seed=4))
    scores = model.score(visits([3], [0]), np.full((1, 10), -1, np.int32))[0]
    river = [model._model.predict_one(3, item) for item in range(N_ITEMS)]
    # All but the mean and the user's bias, which are the same for every item.
    assert scores - scores[0] == pytest.approx(np.array(river) - river[0], abs=1e-6)


def test_asking_river_about_strangers_leaves_it_as_it_was() -> None:
    asked, never = RiverBiasedMf(CONFIG), RiverBiasedMf(CONFIG)
    events, judged = tribes(300, seed=5), tribes(40, seed=6)
    for model in (asked, never):
        taught(model, events)
    asked.rank(visits([777, 778], [1, 2]))
    more = visits([900, 901], [1, 2])
    asked.learn(more)
    never.learn(more)
    assert asked.rank(judged).tolist() == never.rank(judged).tolist()
