"""No model's rank of an event may depend on anything that comes after it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.baselines.full_ranking import RankingConfig
from learner.baselines.lineup import FAMILIES, Maker, family
from learner.baselines.protocol import Events, play

N_ITEMS = 8
Histories = Literal["batch", "event", "instant"]
Rows = list[tuple[int, int, int]]
Which = tuple[str, int]

# One member of each family and kind of evidence is enough.
MEMBERS = [
    (name, number)
    for name in FAMILIES
    for number in {"popularity": [0], "covisitation": [0, 1], "blend": [0, -1]}.get(name, [0])
]


def member(which: Which, histories: Histories, *, mask: bool) -> Maker:
    name, number = which
    config = RankingConfig(n_items=N_ITEMS, histories=histories, mask_consumed=mask)
    return family(name, config)[number]


def events(rows: Rows) -> Events:
    """Rows of user, item and hours since the row before."""
    user, item, gap = np.array(rows, np.int64).reshape(-1, 3).T
    users = user.astype(np.int32)
    kind = np.zeros(users.size, np.int8)
    return Events(users, item.astype(np.int32), kind, np.cumsum(gap) * 3_600_000, users // 2)


row = st.tuples(st.integers(0, 5), st.integers(0, N_ITEMS - 1), st.integers(0, 30))


@pytest.mark.parametrize("histories", ["batch", "event", "instant"])
@pytest.mark.parametrize("which", MEMBERS, ids=str)
@given(
    past=st.lists(row, min_size=1, max_size=30),
    futures=st.tuples(*[st.lists(row, min_size=12, max_size=12)] * 2),
    mask=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_a_changed_future_changes_no_rank_before_it(
    which: Which, histories: Histories, past: Rows, futures: tuple[Rows, Rows], mask: bool
) -> None:
    ranks = []
    for future in futures:
        model = member(which, histories, mask=mask)()
        # Micro-batches of 5 that don't end where the change begins: futures differ inside one.
        ranks.append(play(model, events(past + future), history=0.0, batch=5).rank)
    before = len(past)
    assert ranks[0][:before].tolist() == ranks[1][:before].tolist()


@pytest.mark.parametrize("which", MEMBERS, ids=str)
@given(
    past=st.lists(row, min_size=1, max_size=30),
    users=st.lists(st.integers(0, 5), min_size=6, max_size=6),
    items=st.lists(st.integers(0, N_ITEMS - 1), min_size=6, max_size=6),
)
@settings(max_examples=12, deadline=None)
def test_inside_a_batch_only_the_own_item_is_read(
    which: Which, past: Rows, users: list[int], items: list[int]
) -> None:
    # With histories as of before the batch, the batch's other items are unknown, earlier or later.
    model = member(which, "batch", mask=True)()
    model.learn(events(past))
    rows = [(user, item, 1) for user, item in zip(users, items, strict=True)]
    together = model.rank(events(rows))
    for b, (user, item, _) in enumerate(rows):
        crowd = [(u, (i + 3) % N_ITEMS, 1) for u, i, _ in rows]
        crowd[b] = (user, item, 1)
        assert model.rank(events(crowd))[b] == together[b]


@pytest.mark.parametrize("histories", ["batch", "event", "instant"])
@pytest.mark.parametrize("which", MEMBERS, ids=str)
def test_ranking_teaches_nothing(which: Which, histories: Histories) -> None:
    random = np.random.default_rng(5)
    rows = list(zip(*(random.integers(0, top, 60).tolist() for top in (6, 8, 20)), strict=True))
    log = events(rows)
    asked, never = (member(which, histories, mask=False)() for _ in range(2))
    for a in range(0, 40, 10):
        for _ in range(3):
            asked.rank(log.between(a + 10, a + 20))
        asked.learn(log.between(a, a + 10))
        never.learn(log.between(a, a + 10))
    last = log.between(40, 60)
    assert asked.rank(last).tolist() == never.rank(last).tolist()


@pytest.mark.parametrize("histories", ["batch", "event", "instant"])
@pytest.mark.parametrize("which", MEMBERS, ids=str)
@given(past=st.lists(row, min_size=1, max_size=40), user=st.integers(0, 6))
@settings(max_examples=12, deadline=None)
def test_the_own_item_is_only_looked_up_never_helped(
    which: Which, histories: Histories, past: Rows, user: int
) -> None:
    model = member(which, histories, mask=False)()
    log = events(past)
    model.learn(log)
    known = np.unique(log.item).tolist()
    # Ask for each known item in turn: the ranks of one ranking share out the places 1..n.
    ranks = [model.rank(events([(user, item, 500)]))[0] for item in known]
    assert sum(ranks) == len(known) * (len(known) + 1) / 2
