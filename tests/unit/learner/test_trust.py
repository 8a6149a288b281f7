"""What a crowd of new users may teach about one item, and what it may not keep others from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from learner.batch import Histories
from learner.config import LearnerConfig, TrustConfig
from learner.experts import Experts
from learner.online import OnlineLearner
from learner.trust import Crowd
from stream.events import Event
from tests.bench._attacks import ATTACKS, attacked
from tests.bench.poisoning import Field
from tests.unit.learner.test_corruption import walks
from tests.unit.learner.toy import CONFIG, START_MS, catalogue, example, habits, shelf

ITEMS, STEPS = 100, 40
DAY_MS = 86_400_000
CONFIG_OF_TRUST = TrustConfig()
NEW, KNOWN = 3, 20
"""Different items in the history of a user whom nobody knows, and of one who is known."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Listener:
    """A crowd, and what it is told."""

    def __init__(self) -> None:
        self.crowd = Crowd()
        self._generator = np.random.default_rng(0)

    def hear(self, rows: NDArray[np.integer], different: int, day: float = 0.0) -> int:
        """How many of the events teach, of users with so many different items behind them."""
        rows_B = np.asarray(rows, np.int32)
        heard = self.crowd.hear(
            rows_B, past(len(rows_B), different, day), CONFIG_OF_TRUST, self._generator, items=ITEMS
        )
        return int(heard.sum())


def past(count: int, different: int, day: float = 0.0) -> Histories:
    row_T = np.where(np.arange(STEPS) < different, np.arange(STEPS), -1)
    zeros_BT = np.zeros((count, STEPS))
    now_B = np.full(count, START_MS + int(day * DAY_MS))
    return Histories(
        np.tile(row_T, (count, 1)).astype(np.int32),
        zeros_BT.astype(np.int8),
        zeros_BT.astype(np.int64),
        zeros_BT.astype(np.float32),
        now_B,
        np.full(count, different, np.int32),
    )


@pytest.fixture
def usual() -> Listener:
    """A shop in which known users take every item ten times, and new ones twice."""
    listener = Listener()
    everything = np.arange(ITEMS)
    assert listener.hear(np.tile(everything, 10), KNOWN) == 10 * ITEMS
    assert listener.hear(np.tile(everything, 2), NEW) == 2 * ITEMS
    return listener


def test_a_farms_thousand_events_teach_what_a_dozen_do(usual: Listener) -> None:
    assert usual.hear(np.full(1_000, 7), NEW) < 15


def test_a_farm_gets_no_further_by_sending_its_events_one_by_one(usual: Listener) -> None:
    assert sum(usual.hear(np.array([7]), NEW) for _ in range(1_000)) < 20


def test_new_users_teach_all_where_they_do_what_known_ones_do(usual: Listener) -> None:
    assert usual.hear(np.arange(ITEMS), NEW) == ITEMS


def test_known_users_are_heard_at_an_item_that_a_farm_pushes(usual: Listener) -> None:
    usual.hear(np.full(1_000, 7), NEW)
    assert usual.hear(np.full(50, 7), KNOWN) == 50


def test_new_users_are_heard_again_once_known_ones_take_the_item_too(usual: Listener) -> None:
    usual.hear(np.full(1_000, 7), NEW)
    usual.hear(np.full(400, 7), KNOWN)
    assert usual.hear(np.full(20, 7), NEW) == 20


def test_new_users_elsewhere_are_not_held_back_by_a_farm(usual: Listener) -> None:
    usual.hear(np.full(1_000, 7), NEW)
    assert usual.hear(np.arange(10, 60), NEW) == 50


def test_where_nobody_is_known_yet_new_users_teach() -> None:
    listener = Listener()
    rows = np.random.default_rng(0).integers(0, ITEMS, 2_048).reshape(-1, 64)
    assert sum(listener.hear(rows_B, NEW) for rows_B in rows) > 2_000


def test_where_visits_are_short_fewer_items_make_a_user_known() -> None:
    listener = Listener()
    for _ in range(10):
        listener.hear(np.arange(ITEMS), 1)
        listener.hear(np.arange(ITEMS), 4)
    assert listener.hear(np.full(200, 7), 4) == 200
    assert listener.hear(np.full(200, 8), 1) < 40


def test_weeks_later_it_is_all_but_forgotten(usual: Listener) -> None:
    usual.hear(np.full(1_000, 7), NEW)
    usual.hear(np.tile(np.arange(ITEMS), 10), KNOWN, day=70)
    assert usual.hear(np.array([7, 7]), NEW, day=70) == 2


def test_where_all_teach_nothing_is_drawn() -> None:
    generator = np.random.default_rng(3)
    Crowd().hear(
        np.arange(50, dtype=np.int32), past(50, NEW), CONFIG_OF_TRUST, generator, items=ITEMS
    )
    assert generator.random() == np.random.default_rng(3).random()


def test_counts_follow_their_items_through_a_snapshot() -> None:
    one = Experts(CONFIG.model)
    generator = np.random.default_rng(0)
    one.crowd.hear(np.array([0, 0, 2], np.int32), past(3, NEW), CONFIG_OF_TRUST, generator, items=3)
    one.reserve(4)
    other = Experts(CONFIG.model)
    other.restore(one.state(), np.array([1, -1, 0, 2]), items=5)
    assert (other.crowd.new_I + other.crowd.known_I).tolist() == [1.0, 2.0, 0.0, 0.0, 0.0]
    assert other.crowd.different_N[NEW] == 3
    assert other.crowd.now_ms == START_MS


def test_a_snapshot_from_before_there_was_trust_loads() -> None:
    state = {
        name: array
        for name, array in Experts(CONFIG.model).state().items()
        if not name.startswith("crowd.")
    }
    experts = Experts(CONFIG.model)
    experts.restore(state, np.zeros(0, np.int64), items=3)
    assert experts.crowd.known_I.tolist() == [0.0, 0.0, 0.0]


def test_what_does_not_teach_is_ranked_and_counted_as_learnt() -> None:
    learner = OnlineLearner(catalogue(["a0", "a1", "b0", "b1", "c0"]), CONFIG)
    learner.learn_many(habits(64, 2))
    clicks = [msgspec.structs.replace(example(n, "c0"), offset=100 + n) for n in range(200)]
    report = learner.learn_many(clicks)
    assert (report.learnt, len(report.rank_N)) == (200, 200)


# The bench in small: everybody walks along a shelf, and somebody pushes one item of it. ---------

SHELF = shelf("a", 120)


def field(*, on: bool) -> Field:
    train = msgspec.structs.replace(CONFIG.train, batch=32)
    model = msgspec.structs.replace(CONFIG.model, transformer=False, steps=20)
    config: LearnerConfig = msgspec.structs.replace(
        CONFIG, train=train, model=model, trust=TrustConfig(on=on)
    )
    return Field(walks(1_600), catalogue(SHELF), config)


@pytest.fixture(scope="module")
def defended() -> Field:
    return field(on=True)


@pytest.fixture(scope="module")
def open_() -> Field:
    return field(on=False)


@pytest.mark.parametrize("attack", ["click farm", "one bot", "one star", "led on"])
def test_a_tenth_of_all_events_pushes_an_item_only_without_the_defence(
    defended: Field, open_: Field, attack: str
) -> None:
    without, with_ = (one.attack(attack, "a60", 0.1) for one in (open_, defended))
    assert without.exposure > 2.0, (without, with_)
    assert with_.exposure < 0.5 * without.exposure, (without, with_)
    assert with_.ndcg10 > 0.97, (without, with_)


def test_the_defence_costs_honest_users_nothing(defended: Field, open_: Field) -> None:
    ratio, _ = defended.compared_to(open_)
    assert ratio > 0.98


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_as_large_as_it_says_and_the_same_every_time(attack: str) -> None:
    honest: list[Event] = walks(400)
    events, is_honest = attacked(honest, honest, attack, "a60", 0.1)
    assert [e for e, mine in zip(events, is_honest, strict=True) if mine] == honest
    assert 0.09 < 1.0 - sum(is_honest) / len(events) <= 0.1
    assert attacked(honest, honest, attack, "a60", 0.1)[0] == events
