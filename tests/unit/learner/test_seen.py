"""What a user had before the steps that are kept is known by code, and not offered again."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalog import Catalog
from features.interest import InterestConfig, ItemSpace
from features.profile import MAX_STEPS, InterestModel, Place, apply
from features.profile_state import EMPTY
from features.shift import DetectorState
from learner.batch import Histories, make_histories
from learner.evaluation_log import examples_of
from learner.rank_by import rank_by
from learner.ranker import Ranker
from stream.events import Event, Step
from stream.seen import item_code
from tests.unit.learner.toy import CONFIG, START_MS, catalogue, example, shelf

ITEMS = shelf("a", 10)
KEPT = CONFIG.model.steps


class NeverShifts:
    """A detector that finds nothing."""

    def step(self, state: DetectorState, value: float) -> tuple[DetectorState, bool]:
        return state, False


def ranker(repeat_share: float) -> Ranker:
    """An untrained one, in a shop with so many repeats."""
    made = Ranker(catalogue(ITEMS), CONFIG)
    made.experts.repeats = np.array([1e4 * repeat_share, 1e4])
    return made


def two_users(catalog: Catalog) -> Histories:
    """Both looked at a0, the second had a1 and a2 long ago, and something that is gone."""
    past = [Step("a0", "click", START_MS)]
    seen = b"".join(map(item_code, ["gone", "a2", "a1"]))
    return make_histories(catalog, [past, past], [START_MS] * 2, [1, 4], KEPT, seen=[b"", seen])


def offered(made: Ranker, past: Histories, **more: object) -> list[set[str]]:
    """The items that each user is offered."""
    [(_, scored)] = made.score_many(past, **more)  # type: ignore[arg-type]
    return [
        {made.catalog.item(row).item_id for row in rows[real].tolist()}
        for rows, real in zip(scored.rows_BK, scored.real_BK, strict=True)
    ]


def test_what_is_known_by_code_is_not_offered_where_nothing_is_had_twice() -> None:
    made = ranker(repeat_share=0.0)
    first, second = offered(made, two_users(made.catalog))
    assert {"a1", "a2"} <= first
    assert second == first - {"a1", "a2"}


def test_it_is_offered_where_things_are_had_again() -> None:
    made = ranker(repeat_share=0.1)
    first, second = offered(made, two_users(made.catalog))
    assert {"a1", "a2"} <= first
    assert second == first


def test_as_a_target_it_is_listed_but_not_offered() -> None:
    made = ranker(repeat_share=0.0)
    target_B = made.catalog.rows(["a1", "a1"])
    first, second = offered(made, two_users(made.catalog), target_B=target_B)
    assert "a1" in first
    assert "a1" not in second


@pytest.mark.parametrize("repeat_share", [0.0, 0.1])
def test_the_referee_ranks_as_the_learner_does(repeat_share: float) -> None:
    made = ranker(repeat_share)
    again = msgspec.structs.replace(example(0, "a1", ["a0"]), seen=item_code("a1"))
    first, second = rank_by(made, [example(0, "a1", ["a0"]), again])
    assert np.isfinite(first)
    assert np.isfinite(second) == (repeat_share > 0)


def test_steps_beyond_those_that_are_read_are_known_by_code() -> None:
    catalog = catalogue(ITEMS)
    long = [Step(item_id, "click", START_MS) for item_id in ITEMS]
    past = make_histories(catalog, [long, long[:3]], [START_MS] * 2, [10, 3], KEPT)
    assert list(past.seen_B) == [b"".join(map(item_code, ITEMS[:-KEPT])), b""]
    assert list(past.take(np.array([1, 0])).seen_B) == list(past.seen_B)[::-1]
    assert list(past.take(slice(0, 1)).seen_B) == list(past.seen_B)[:1]


@given(st.lists(st.tuples(st.sampled_from("uv"), st.integers(0, 90)), min_size=110, max_size=200))
@settings(max_examples=15, deadline=None)
def test_an_evaluation_and_the_profile_say_the_same(log: list[tuple[str, int]]) -> None:
    events = [
        Event(
            event_id=f"event-{n}",
            user_id=user,
            item_id=f"film-{film}",
            kind="view",
            ts_ms=START_MS + n // 2,
            source="",
            received_ms=START_MS + n,
        )
        for n, (user, film) in enumerate(log)
    ]
    model = InterestModel(ItemSpace(Catalog(width=64)), NeverShifts(), InterestConfig())
    profiles = dict.fromkeys("uv", EMPTY)
    told = []
    for offset, event in enumerate(events):
        applied = apply(profiles[event.user_id], event, Place(0, offset), model)
        profiles[event.user_id] = applied.profile
        told.append(applied.example)
    assert told == list(examples_of(events, steps=MAX_STEPS))
    assert any(profile.seen for profile in profiles.values())
