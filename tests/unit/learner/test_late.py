"""Events that come before their items are counted later, once, and survive a restart."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from learner.late import Late
from learner.online import OnlineLearner
from learner.state import go_back, load_learner, save_learner, save_ranker
from stream.events import Example
from tests.unit.learner.toy import CONFIG, catalogue, example, habits, item, shelf

ITEMS = shelf("a", 8) + shelf("b", 8)


def learner() -> OnlineLearner:
    return OnlineLearner(catalogue(ITEMS), CONFIG)


def taken(one: OnlineLearner, item_id: str) -> float:
    row = one.catalog.row(item_id)
    return float(one.ranker.experts.taken_I[row]) if row >= 0 else 0.0


def waiting(late: Late, item_ids: Sequence[str]) -> list[str]:
    """Which events wait, learnt by making their items known."""
    return [e.event_id for e in late.take_known(catalogue(item_ids))]


def test_events_of_an_item_that_comes_late_are_counted_once_it_is_there() -> None:
    one = learner()
    report = one.learn_many([example(0, "new", ["a1"]), example(1, "new", ["a1"])])
    assert (report.unknown, report.late) == (2, 0)

    one.catalog.upsert([item("new")])
    reports = [one.learn_many([example(2 + n, "b1", ["a1"])]) for n in range(2)]

    assert [r.late for r in reports] == [2, 0]
    assert taken(one, "new") == 2.0
    next_to_a1 = one.ranker.experts.following.ids_IM[one.catalog.row("a1")].tolist()
    assert one.catalog.row("new") in next_to_a1


def test_late_counts_are_those_of_an_item_that_came_in_time() -> None:
    examples = [example(n, "new", ["a1"]) for n in range(16)]
    late, in_time = learner(), learner()
    late.learn_many(examples)
    late.catalog.upsert([item("new")])
    late.count_late()
    in_time.catalog.upsert([item("new")])
    in_time.learn_many(examples)

    for name, counted in in_time.ranker.experts.state().items():
        assert np.array_equal(late.ranker.experts.state()[name], counted), name


def test_a_bot_at_an_item_that_comes_late_counts_for_little() -> None:
    one = learner()
    one.learn_many([example(n, "new", ["new"] * 8) for n in range(40)])
    one.catalog.upsert([item("new")])
    assert one.count_late() == 40
    assert taken(one, "new") < 10.0


def test_a_late_example_delivered_again_is_not_counted_again() -> None:
    one = learner()
    one.learn_many([example(0, "new")])
    one.learn_many([example(0, "new")])
    one.catalog.upsert([item("new")])
    one.learn_many([example(0, "new")])
    assert taken(one, "new") == 1.0


def test_what_waits_survives_a_checkpoint() -> None:
    first = learner()
    first.learn_many([example(0, "new", ["a1"])])
    second = learner()
    load_learner(second, save_learner(first))
    second.catalog.upsert([item("new")])
    assert second.learn_many([example(1, "b1")]).late == 1
    assert taken(second, "new") == 1.0


def test_a_learner_that_goes_back_gives_up_what_waits() -> None:
    one = learner()
    one.learn_many(habits(16, 8))
    good = save_ranker(one.ranker)
    one.learn_many([example(16, "new")])
    go_back(one, good)
    one.catalog.upsert([item("new")])
    assert one.learn_many([example(17, "b1")]).late == 0


@pytest.mark.parametrize("parts", [[5], [2, 3], [1] * 5])
def test_the_newest_wait_and_the_oldest_are_given_up(parts: list[int]) -> None:
    late, first = Late(most=3), 0
    for count in parts:
        late.add(example(n, f"n{n}") for n in range(first, first + count))
        first += count
    assert len(late) == 3
    assert waiting(late, [f"n{n}" for n in range(5)]) == ["e2", "e3", "e4"]
    assert len(late) == 0


def test_those_whose_items_are_still_unknown_wait_on() -> None:
    late = Late()
    late.add([example(0, "n0"), example(1, "n1"), example(2, "n0")])
    assert waiting(late, ["n0"]) == ["e0", "e2"]
    again = Late()
    again.restore(late.state())
    assert waiting(again, ["n1"]) == ["e1"]


def test_a_checkpoint_keeps_examples_whole() -> None:
    whole: list[Example] = [
        msgspec.structs.replace(example(0, "n0", ["a1", "b1"], kind="review"), rating=4.0)
    ]
    late, again = Late(), Late()
    late.add(whole)
    again.restore(late.state())
    assert again.take_known(catalogue(["n0"])) == whole
