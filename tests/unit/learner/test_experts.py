"""What is counted: popularity that fades, neighbours in bounded memory, habits of items."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.batch import make_histories
from learner.experts import Experts
from learner.neighbours import Neighbours
from learner.popularity import Popularity
from tests.unit.learner.toy import CONFIG, catalogue, example, shelf

DAY_MS = 86_400_000


def add(table: Neighbours, pairs: list[tuple[int, int]], now_ms: int = 0) -> None:
    source, target = np.array(pairs, np.int32).T
    table.add(source, target, np.ones(len(pairs), np.float32), now_ms, items=64)


def neighbours_of(table: Neighbours, row: int) -> dict[int, float]:
    ids, weights = table.ids_IM[row], table.weights_IM[row]
    return {int(i): round(float(w), 3) for i, w in zip(ids, weights, strict=True) if i >= 0}


def test_popularity_halves_with_each_half_life() -> None:
    popularity = Popularity(half_lives_s=(86_400.0, math.inf))
    popularity.add(np.array([0]), np.array([DAY_MS]), items=2)
    popularity.add(np.array([1]), np.array([3 * DAY_MS]), items=2)
    assert popularity.counts_HI.tolist() == [[0.25, 1.0], [1.0, 1.0]]


def test_a_late_event_weighs_what_it_would_by_now() -> None:
    popularity = Popularity(half_lives_s=(86_400.0,))
    popularity.add(np.array([0]), np.array([3 * DAY_MS]), items=2)
    popularity.add(np.array([1]), np.array([2 * DAY_MS]), items=2)
    assert popularity.counts_HI.tolist() == [[1.0, 0.5]]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=40))
def test_few_partners_are_counted_exactly_however_they_are_batched(
    pairs: list[tuple[int, int]],
) -> None:
    together, alone = (Neighbours(16, math.inf) for _ in range(2))
    add(together, pairs)
    for pair in pairs:
        add(alone, [pair])
    wanted: dict[tuple[int, int], float] = {}
    for a, b in pairs:
        if a != b:
            wanted[a, b] = wanted.get((a, b), 0.0) + 1.0
    for table in (together, alone):
        table.reserve(64)
        found = {(a, b): w for a in range(6) for b, w in neighbours_of(table, a).items()}
        assert found == wanted


def test_a_full_list_gives_up_its_weakest_and_keeps_its_strongest() -> None:
    table = Neighbours(size=2, half_life_s=math.inf)
    add(table, [(0, 1), (0, 1), (0, 1), (0, 2)])
    add(table, [(0, 3)])
    assert neighbours_of(table, 0) == {1: 3.0, 3: 1.0}


def test_memory_of_neighbours_is_bounded_by_the_list() -> None:
    table = Neighbours(size=4, half_life_s=math.inf)
    for target in range(1, 60):
        add(table, [(0, target)])
    assert len(neighbours_of(table, 0)) == 4


def test_neighbours_fade_with_event_time() -> None:
    table = Neighbours(size=4, half_life_s=86_400.0)
    add(table, [(0, 1)], now_ms=0)
    add(table, [(0, 2)], now_ms=DAY_MS)
    assert neighbours_of(table, 0) == {2: 1.0, 1: 0.5}


def counted(events: list[tuple[str, list[str]]]) -> Experts:
    catalog = catalogue(shelf("a", 6))
    experts = Experts(CONFIG.model)
    for n, (item_id, past) in enumerate(events):
        one = example(n, item_id, past)
        histories = make_histories(catalog, [one.history], [one.ts_ms], [len(past)], steps=8)
        experts.learn(catalog.rows([item_id]), histories, len(catalog))
    return experts


def test_moves_from_the_last_item_and_from_the_one_before_are_counted_apart() -> None:
    experts = counted([("a2", ["a0", "a1"])])
    assert neighbours_of(experts.following, 1) == {2: 1.0}
    assert neighbours_of(experts.following, 0) == {}
    assert neighbours_of(experts.skipping, 0) == {2: pytest.approx(0.6)}
    assert neighbours_of(experts.together, 2) == {0: 1.0, 1: 1.0}


def test_a_shop_without_repeats_stops_offering_again_and_one_with_repeats_goes_on() -> None:
    never = counted([(f"a{n % 5}", ["a5"]) for n in range(1000)] * 5)
    assert not never.offers_again
    often = counted([("a1", ["a1"])] * 20)
    assert often.offers_again
    assert often.repeated_I[1] == 20
