"""The learner's memory: residual vectors are capped, and what is held is told by table."""

from __future__ import annotations

import msgspec
import numpy as np

from learner.held import held_bytes
from learner.online import OnlineLearner
from learner.state import load_learner, save_learner
from tests.unit.learner.toy import CONFIG, catalogue, example, item, shelf

ITEMS = shelf("a", 8)


def capped(most: int) -> OnlineLearner:
    model = msgspec.structs.replace(CONFIG.model, residuals_max=most, admit_after=1)
    return OnlineLearner(catalogue(ITEMS), msgspec.structs.replace(CONFIG, model=model))


def admitted(one: OnlineLearner) -> list[str]:
    rows = np.flatnonzero(one.ranker.residuals.admitted_I)
    return sorted(one.catalog.item(int(row)).item_id for row in rows)


def test_beyond_the_cap_the_longest_idle_item_gives_its_vector_back() -> None:
    one = capped(3)
    for n, item_id in enumerate(["a0", "a1", "a2", "a0", "a3"]):
        one.learn_many([example(n, item_id)])
    assert admitted(one) == ["a0", "a2", "a3"]
    row = one.catalog.row("a1")
    assert not one.ranker.residuals.vectors_ID[row].any()


def test_an_item_that_gave_its_vector_back_may_come_again() -> None:
    one = capped(1)
    for n, item_id in enumerate(["a0", "a1", "a0"]):
        one.learn_many([example(n, item_id)])
    assert admitted(one) == ["a0"]


def test_another_cap_is_no_other_shape() -> None:
    wide, narrow = capped(8), capped(2)
    wide.learn_many([example(n, item_id) for n, item_id in enumerate(ITEMS)])
    load_learner(narrow, save_learner(wide))
    narrow.learn_many([example(8, "a0")])
    assert len(admitted(narrow)) == 2
    assert "a0" in admitted(narrow)


def test_every_table_says_what_it_holds() -> None:
    one = capped(8)
    one.learn_many([example(n, item_id, ["a0"]) for n, item_id in enumerate(ITEMS)])
    before = held_bytes(one)
    assert set(before) == {"popularity", "neighbours", "items", "residuals", "replay"}
    assert all(before.values())
    # Ids and weights of two tables of `neighbours` and one of half as many, at least.
    assert before["neighbours"] >= len(ITEMS) * 2.5 * CONFIG.model.neighbours * 8

    one.catalog.upsert([item(f"c{n}") for n in range(64)])
    one.learn_many([example(8, "c1", ["a0"])])
    after = held_bytes(one)
    assert after["replay"] == before["replay"]
    assert all(after[name] > before[name] for name in set(before) - {"replay"})
