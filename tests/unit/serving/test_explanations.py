"""Reasons name the events that carry the score: their number, their order, and that they do."""

from __future__ import annotations

import numpy as np
import torch

from serving.carriers import Least, carriers
from stream.events import Because
from tests.bench._served_shop import served_shop
from tests.bench.explanations import measure, shares
from tests.unit.learner.toy import catalogue
from tests.unit.serving.shop import ask, recommender, user


def carried(evidence: list[float], least: float = 0.1) -> list[int]:
    catalog = catalogue(["a0", "b0", "c0", "d0", "e0"])
    found = carriers(
        np.array([[0]], np.int32),
        np.arange(1, 1 + len(evidence), dtype=np.int32)[None],
        np.array(evidence, np.float32)[None, None],
        catalog,
        Least(least, 2.0),
    )
    return [at for at in found[0, 0].tolist() if at]


def test_the_strongest_step_carries_and_others_where_it_is_not_half_of_all() -> None:
    assert carried([0.1, 0.9, 0.2]) == [-2]
    assert carried([0.3, 0.35, 0.2]) == [-2, -3]
    assert carried([0.3, 0.31, 0.3, 0.3]) == [-3, -4]
    assert carried([0.05, 0.05]) == []


def test_where_the_model_is_silent_recent_texts_speak_and_old_ones_do_not() -> None:
    catalog = catalogue(["a0", "a1", "b0"])
    old = [1] + [2] * 16
    for past, wanted in (([1, 2, 2], [-3, 0, 0]), (old, [0, 0, 0])):
        rows = np.array([past], np.int32)
        silent = np.zeros((1, 1, len(past)), np.float32)
        found = carriers(np.array([[0]], np.int32), rows, silent, catalog, Least(0.1, 0.5))
        assert found[0, 0].tolist() == wanted


def test_a_list_names_the_events_behind_its_reasons() -> None:
    ann = user("ann", ("drill", "view"), ("axe", "view"), ("drill", "purchase"))
    [answer] = recommender().answer_many([ask("ann", k=4)], [ann])
    named = {one.item_id: one.because for one in answer.items}
    assert isinstance(named["drill"], tuple) and isinstance(named["axe"], tuple)
    kinds = [(one.item_id, one.kind) for one in named["drill"]]
    assert kinds[0] == ("drill", "purchase") and ("drill", "view") in kinds
    assert all(isinstance(one, Because) for one in named["axe"])
    [nobody] = recommender().answer_many([ask("zoe")], [None])
    assert all(not isinstance(one.because, tuple) for one in nobody.items)


def test_without_the_events_that_a_reason_names_the_score_is_lower() -> None:
    torch.set_num_threads(1)
    figures = shares(measure(served_shop(2_500), 25))
    assert figures["reasons"] > 100 and figures["holds"], figures
