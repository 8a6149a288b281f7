"""Places for new items: a bounded share, and more of it for those that are taken."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.explore import MOST_SHOWS, Explorer
from tests.unit.serving.shop import NOW_MS, PLAIN, ask, item, recommender

POOL = np.arange(40, dtype=np.int32)
NEW = np.arange(30, 40, dtype=np.int32)
NONE_TAKEN = np.zeros(len(NEW), np.int64)


@given(st.floats(0, 0.5), st.integers(1, 20), st.text(max_size=8))
def test_a_list_keeps_its_length_its_first_and_all_but_a_share(
    share: float, length: int, key: str
) -> None:
    best = POOL[:length]
    placed = Explorer(share).place(best, POOL, NEW, NONE_TAKEN, key)
    assert len(placed) == length == len(set(placed.tolist()))
    assert placed[0] == best[0]
    new = int(np.isin(placed, NEW).sum())
    assert new <= share * length + 1
    assert placed[: length - new].tolist() == best[: length - new].tolist()


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_the_share_of_places_is_what_was_set(share: float) -> None:
    explorer, best = Explorer(share), POOL[:10]
    new = [
        int(np.isin(explorer.place(best, POOL, NEW, NONE_TAKEN, f"r{n}"), NEW).sum())
        for n in range(600)
    ]
    assert np.mean(new) == pytest.approx(10 * share, rel=0.15)


def test_what_is_not_in_the_users_pool_is_not_tried_on_them() -> None:
    explorer = Explorer(0.5)
    for n in range(50):
        placed = explorer.place(POOL[:10], POOL[:32], NEW, NONE_TAKEN, f"r{n}")
        assert set(placed.tolist()) <= {*range(10), 30, 31}


def test_the_same_state_and_key_draw_the_same() -> None:
    once, again = (
        [Explorer(0.3).place(POOL[:10], POOL, NEW, NONE_TAKEN, f"r{n}").tolist() for n in range(9)]
        for _ in range(2)
    )
    assert once == again


def test_what_shoppers_take_is_shown_more_and_what_they_pass_over_less() -> None:
    """Ten new items, one of which every fourth who sees it takes."""
    explorer, chance = Explorer(0.1), np.random.default_rng(0)
    taken = np.zeros(len(NEW), np.int64)
    late: list[int] = []
    for n in range(1_500):
        placed = explorer.place(POOL[:10], POOL, NEW, taken, f"r{n}")
        for row in placed[np.isin(placed, NEW)].tolist():
            taken[row - NEW[0]] += chance.random() < (0.25 if row == 33 else 0.01)
            if n > 300 and explorer.shown[33] < MOST_SHOWS:
                late.append(row)
    assert late.count(33) > 3 * len(late) / len(NEW)


def test_an_item_that_was_shown_often_is_new_no_longer() -> None:
    explorer = Explorer(0.5)
    explorer.shown = dict.fromkeys(NEW.tolist(), MOST_SHOWS)
    assert explorer.place(POOL[:10], POOL, NEW, NONE_TAKEN, "r").tolist() == list(range(10))


@pytest.mark.parametrize(("share", "shown"), [(0.0, 0), (0.2, 20)])
def test_an_item_that_came_lately_is_tried_out_in_the_last_place(share: float, shown: int) -> None:
    made = recommender(config=msgspec.structs.replace(PLAIN, explore_share=share))
    # The plain ranker puts the newest row last, far behind all that a list of five holds.
    made.index.upsert([item("genmaicha", "Tea", 0.2, first_seen_ms=NOW_MS)])
    places = []
    for n in range(20):
        [answer] = made.answer_many([ask(f"ann-{n}", k=5)], [None])
        ids = [one.item_id for one in answer.items]
        assert len(ids) == 5
        places += [place for place, name in enumerate(ids) if name == "genmaicha"]
    assert places == [4] * shown
