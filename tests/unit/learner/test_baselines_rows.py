"""The growing memory against the plainest way to do the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from learner.baselines.rows import NONE, GrowingLists, LastItems, PairCounts

Visits = list[tuple[int, int]]
visits = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=60)


@given(visits, st.integers(1, 7))
def test_last_items_are_the_newest_first_however_the_log_is_cut(log: Visits, size: int) -> None:
    last = LastItems(length=3)
    plain: dict[int, list[int]] = {}
    for a in range(0, len(log), size):
        part = log[a : a + size]
        key, item = np.array(part, np.int32).reshape(-1, 2).T
        seen = last.before_each(key, item)
        for b, (k, i) in enumerate(part):
            wanted = plain.get(k, [])[::-1][:3]
            assert seen[b].tolist() == wanted + [NONE] * (3 - len(wanted))
            plain.setdefault(k, []).append(i)
        last.append(key, item)


def test_last_items_grow_with_the_keys() -> None:
    last = LastItems(length=1)
    last.append(np.array([2], np.int32), np.array([6], np.int32))
    last.append(np.array([70_000], np.int32), np.array([5], np.int32))
    assert last.before(np.array([70_000, 2, 900_000], np.int32)).tolist() == [[5], [6], [NONE]]


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=9), max_size=40))
def test_pair_counts_are_a_counter(batches: list[Visits]) -> None:
    pairs, plain = PairCounts(), Counter[tuple[int, int]]()
    for batch in batches:
        i, j = np.array(batch, np.int32).reshape(-1, 2).T
        pairs.add(i, j)
        plain.update(batch)
    for row in range(4):
        partners, times = pairs.row(row)
        wanted = sorted((j, count) for (i, j), count in plain.items() if i == row)
        assert list(zip(partners.tolist(), times.tolist(), strict=True)) == wanted


@given(visits)
def test_growing_lists_keep_the_first_coming_of_each(log: Visits) -> None:
    lists = GrowingLists()
    plain: dict[int, list[int]] = {}
    for key, value in log:
        held = plain.setdefault(key, [])
        assert lists.add(key, value) == (value not in held)
        if value not in held:
            held.append(value)
    assert all(lists.get(key).tolist() == held for key, held in plain.items())
