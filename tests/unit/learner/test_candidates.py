"""Candidates: only what may be shown, each once, and what every expert would name is among them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from learner.batch import Histories, make_histories
from learner.candidates import gather_candidates, popular_rows, unique_rows
from learner.config import CandidateConfig, ModelConfig
from learner.experts import Experts
from tests.unit.learner.toy import catalogue, example, shelf

ITEMS = shelf("a", 30)
LISTING = CandidateConfig(all_items_below=4, popular=3, own=5)
CATALOG = catalogue(ITEMS)


def histories(*pasts: list[str]) -> Histories:
    examples = [example(n, "a0", past) for n, past in enumerate(pasts)]
    history = [one.history for one in examples]
    return make_histories(CATALOG, history, [e.ts_ms for e in examples], [0] * len(pasts), 8)


def counted(*events: tuple[str, list[str]]) -> Experts:
    experts = Experts(ModelConfig())
    experts.reserve(len(ITEMS))
    for item_id, past in events:
        experts.learn(CATALOG.rows([item_id]), histories(past), len(ITEMS))
    return experts


def everything() -> NDArray[np.bool_]:
    return np.ones(len(ITEMS), np.bool_)


@given(st.lists(st.lists(st.integers(-1, 6), min_size=5, max_size=5), min_size=1, max_size=4))
def test_each_line_is_its_set_in_order(lines: list[list[int]]) -> None:
    found = unique_rows(np.array(lines, np.int32))
    for line, row in zip(lines, found.tolist(), strict=True):
        wanted = sorted({value for value in line if value >= 0})
        assert row[: len(wanted)] == wanted
        assert set(row[len(wanted) :]) <= {-1}


def test_what_followed_what_is_popular_and_what_was_had_are_named() -> None:
    experts = counted(("a7", ["a1"]), ("a9", []), ("a9", []), ("a9", []))
    row = gather_candidates(experts, histories(["a3", "a1"]), everything(), LISTING)[0]
    assert {1, 3, 7, 9} <= set(row.tolist())


def test_nobody_is_offered_what_is_not_allowed_not_even_his_own() -> None:
    experts = counted(("a7", ["a1"]), ("a9", []))
    allowed = everything()
    allowed[[1, 7, 9]] = False
    row = gather_candidates(experts, histories(["a1"]), allowed, LISTING)[0]
    assert not {1, 7, 9} & set(row.tolist())
    assert (row >= 0).sum() >= LISTING.popular


def test_a_small_catalogue_is_taken_whole_and_an_empty_one_is_empty() -> None:
    experts = counted(("a7", []))
    allowed = np.zeros(len(ITEMS), np.bool_)
    assert gather_candidates(experts, histories([], []), allowed, LISTING).tolist() == [[-1], [-1]]
    allowed[[2, 5, 8]] = True
    assert gather_candidates(experts, histories([]), allowed, LISTING).tolist() == [[2, 5, 8]]
    assert popular_rows(experts, np.zeros(30, np.bool_), 3).tolist() == []


def test_tops_of_other_experts_join_in() -> None:
    tops = np.array([[20, 21], [22, 20]], np.int32)
    rows = gather_candidates(counted(("a7", [])), histories([], []), everything(), LISTING, [tops])
    assert {20, 21} <= set(rows[0].tolist())
    assert {22, 20} <= set(rows[1].tolist())
