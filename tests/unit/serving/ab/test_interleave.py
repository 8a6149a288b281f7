"""Team drafts: fair between equals, and for the better ranking otherwise."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.ab.interleave import team_draft

RANKING = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


@given(RANKING, RANKING, st.integers(0, 10), st.text(max_size=8))
def test_a_list_holds_each_item_once_and_as_many_as_there_are(
    first: list[str], second: list[str], length: int, seed: str
) -> None:
    drafted = team_draft(first, second, length, seed)

    assert len(set(drafted.items)) == len(drafted.items)
    assert len(drafted.items) == min(length, len({*first, *second}))
    assert drafted == team_draft(first, second, length, seed)
    for item, team in zip(drafted.items, drafted.teams, strict=True):
        assert item in (first, second)[team]


@given(RANKING, st.text(max_size=8))
def test_of_two_equal_rankings_the_list_is_that_ranking(ranking: list[str], seed: str) -> None:
    assert list(team_draft(ranking, ranking, len(ranking), seed).items) == ranking


def test_neither_ranking_wins_where_taking_is_chance_and_the_better_one_otherwise() -> None:
    rng = np.random.default_rng(3)
    first, second = list("abcdefgh"), list("hgfedcba")
    chance, liked = [], []
    for number in range(3_000):
        drafted = team_draft(first, second, 6, f"{number}")
        chance.append(drafted.won({str(rng.choice(drafted.items))}))
        liked.append(drafted.won({"h"} & set(drafted.items)))
    assert abs(np.mean(chance)) < 0.06
    assert np.mean(liked) > 0.5
