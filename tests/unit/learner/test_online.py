"""Test, then train: no peeking, no example twice, the same bits with the same seed."""

from __future__ import annotations

from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learner.batch import make_histories
from learner.drift import Detector, Signal
from learner.online import OnlineLearner
from learner.state import load_learner, save_learner
from stream.events import Example
from tests.unit.learner.toy import CONFIG, catalogue, example, habits, item, shelf

ITEMS = shelf("a", 8) + shelf("b", 8)


def learner(seed: int = 0) -> OnlineLearner:
    return OnlineLearner(catalogue(ITEMS), msgspec.structs.replace(CONFIG, seed=seed))


def state_of(learner: OnlineLearner) -> dict[str, bytes]:
    saved = save_learner(learner)
    return {name: array.tobytes() for name, array in saved.arrays.items()}


def test_a_habit_is_learnt_and_popularity_is_passed() -> None:
    taught = learner()
    taught.learn_many(habits(240, 8))
    report = taught.learn_many([replace_offset(e, 240) for e in habits(64, 8, seed=9)])
    assert report.ndcg10 > 0.9
    assert report.ndcg10_popularity < 0.6


def replace_offset(one: Example, by: int) -> Example:
    return msgspec.structs.replace(
        one, offset=one.offset + by, ts_ms=one.ts_ms + by * 1_000, event_id=f"{one.event_id}+{by}"
    )


def test_the_first_micro_batch_is_ranked_by_the_prior_alone() -> None:
    report = learner().learn_many(habits(16, 8))
    assert np.array_equal(report.rank_N, report.rank_prior_N)
    assert report.ndcg10 == report.ndcg10_prior


@settings(deadline=None, max_examples=8)
@given(changed=st.integers(0, 15), other=st.sampled_from(ITEMS), taught=st.booleans())
def test_no_peeking_within_a_micro_batch(changed: int, other: str, taught: bool) -> None:
    batch = [replace_offset(e, 32) for e in habits(16, 8, seed=5)]
    swapped = [
        msgspec.structs.replace(e, item_id=other) if n == changed else e
        for n, e in enumerate(batch)
    ]
    ranks = []
    for examples in (batch, swapped):
        one = learner()
        if taught:
            one.learn_many(habits(32, 8))
        ranks.append(np.delete(one.learn_many(examples).rank_N, changed))
    assert np.array_equal(ranks[0], ranks[1])


def test_a_target_that_is_listed_only_to_be_learnt_helps_nobody() -> None:
    one = learner()
    one.learn_many(habits(64, 8))
    asked = [example(64, "b1", ["a1"])] * 2
    past = make_histories(
        one.catalog, [e.history for e in asked], [e.ts_ms for e in asked], [1] * 2, 8
    )
    scores = []
    for targets in (None, one.catalog.rows(["a7", "b7"])):
        ((_, scored),) = one.ranker.score_many(past, target_B=targets)
        scores.append(
            [
                dict(zip(rows[real].tolist(), score[real].tolist(), strict=True))
                for rows, real, score in zip(
                    scored.rows_BK, scored.real_BK, scored.score_BK, strict=True
                )
            ]
        )
    # A matrix product of another width may differ in the last bit.
    assert scores[1] == [pytest.approx(of_user, abs=1e-5) for of_user in scores[0]]


def test_an_example_delivered_again_changes_nothing() -> None:
    examples = habits(48, 8)
    one = learner()
    one.learn_many(examples)
    before = state_of(one)
    report = one.learn_many(examples[20:])
    assert (report.learnt, report.repeated) == (0, 28)
    assert state_of(one) == before


def test_partitions_are_told_apart() -> None:
    one = learner()
    one.learn_many(habits(16, 8))
    other = [msgspec.structs.replace(e, partition=1) for e in habits(16, 8)]
    assert one.learn_many(other).learnt == 16
    assert one.offsets == {0: 16, 1: 16}


def test_an_item_that_nobody_knows_is_a_miss_and_not_learnt() -> None:
    one = learner()
    report = one.learn_many([example(0, "nowhere", ["a1"]), example(1, "b1", ["nowhere", "a1"])])
    assert (report.learnt, report.unknown) == (1, 1)
    assert np.isinf(report.rank_N[0])
    assert one.offsets == {0: 2}


def test_two_seeded_runs_are_bit_equal_and_another_seed_is_not() -> None:
    runs = []
    for seed in (4, 4, 5):
        one = learner(seed)
        one.learn_many(habits(64, 8))
        runs.append(state_of(one))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize("stopped_after", [16, 48])
def test_resumed_equals_never_stopped(stopped_after: int) -> None:
    examples = habits(96, 8)
    straight = learner()
    straight.learn_many(examples[:stopped_after])
    saved = save_learner(straight)
    straight.learn_many(examples[stopped_after:])

    resumed = learner()
    load_learner(resumed, saved)
    report = resumed.learn_many(examples)
    assert report.repeated == stopped_after
    assert state_of(resumed) == state_of(straight)
    assert resumed.recent["online"].value == pytest.approx(straight.recent["online"].value)


def test_a_checkpoint_goes_by_item_ids_not_by_rows() -> None:
    one = learner()
    one.learn_many(habits(64, 8))
    other = OnlineLearner(catalogue(ITEMS[::-1]), CONFIG)
    load_learner(other, save_learner(one))
    report = other.learn_many([replace_offset(e, 64) for e in habits(16, 8, seed=9)])
    assert report.ndcg10 > 0.7


def test_a_checkpoint_of_another_shape_is_refused_with_the_remedy() -> None:
    one = learner()
    shape = msgspec.structs.replace(CONFIG.model, width=32)
    wider = OnlineLearner(catalogue(ITEMS), msgspec.structs.replace(CONFIG, model=shape))
    with pytest.raises(ValueError, match=r"learner\.model"):
        load_learner(wider, save_learner(one))


class Alarm:
    """A detector that cries at its second look."""

    name = "alarm"
    signal: Signal = "loss"

    def __init__(self) -> None:
        self.looks = 0

    def update(self, values_N: NDArray[np.float64]) -> int:
        self.looks += 1
        return int(self.looks == 2)


def test_a_drift_signal_lengthens_the_steps_for_a_while() -> None:
    alarm: Detector = Alarm()
    one = OnlineLearner(catalogue(ITEMS), CONFIG, detectors=[alarm])
    first = one.learn_many(habits(16, 8))
    second = one.learn_many([replace_offset(e, 16) for e in habits(16, 8)])
    third = one.learn_many([replace_offset(e, 32) for e in habits(16, 8)])
    assert (first.factor, first.signals) == (1.0, ())
    assert second.signals == ("alarm",)
    assert 1.0 < third.factor < second.factor <= CONFIG.train.drift_factor


def test_a_new_item_is_ranked_by_its_text_before_anyone_took_it() -> None:
    one = learner()
    one.learn_many(habits(64, 8))
    one.catalog.upsert([item("c0"), item("c1")])
    report = one.learn_many([replace_offset(example(0, "c1", ["c0"]), 64)])
    assert report.rank_N[0] <= 3


def test_the_report_says_everything_by_name() -> None:
    names = {field.name for field in fields(learner().learn_many([]))}
    assert {"ndcg10", "ndcg10_popularity", "ndcg10_covisitation", "hr10", "loss"} <= names
    assert replace(learner().learn_many([]), loss=1.0).loss == 1.0


def test_a_drift_signal_makes_old_popularity_count_for_little() -> None:
    one = OnlineLearner(catalogue(ITEMS), CONFIG, detectors=[Alarm()])
    for at in range(0, 48, 16):
        one.learn_many([replace_offset(e, at) for e in habits(16, 8, seed=at)])
    counted = one.ranker.experts.popularity.counts_HI[-1].sum()
    assert counted == pytest.approx(16 * CONFIG.train.drift_keeps + 16 + 16)
