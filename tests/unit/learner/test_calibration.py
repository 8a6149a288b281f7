"""What scores are worth: learnt clicks beside the truth that made them, whatever the surface."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from learner.calibration import Calibration, Floats, Ints
from learner.calibration_labels import Labels, label
from stream.events import Outcome


def truth(score_N: Floats, place_N: Ints, level: float) -> Floats:
    """A click's probability: it rises with the score, but not in a line, and falls by place."""
    return 1 / (1 + np.exp(4.0 - level - 0.7 * np.maximum(score_N, 0) + 0.15 * place_N))


def play(level: float, batches: int = 400) -> tuple[NDArray[np.float64], ...]:
    rng, calibration = np.random.default_rng(7), Calibration()
    predicted, true, clicks = [], [], []
    for _ in range(batches):
        score_N, place_N = rng.normal(1.0, 2.0, 200), rng.integers(1, 11, 200)
        true_N = truth(score_N, place_N, level)
        click_N = rng.random(200) < true_N
        predicted.append(calibration.learn("home", score_N, place_N, click_N))
        true.append(true_N)
        clicks.append(click_N)
    half = batches // 2
    return tuple(np.concatenate(part[half:]) for part in (predicted, true, clicks))


@pytest.mark.parametrize("level", [0.0, 2.0])
def test_predictions_are_probabilities_in_each_tenth(level: float) -> None:
    predicted_N, true_N, _ = play(level)
    for part in np.array_split(np.argsort(predicted_N), 10):
        assert predicted_N[part].sum() == pytest.approx(true_N[part].sum(), rel=0.15)
    assert abs(predicted_N.mean() - true_N.mean()) < 0.002


def test_a_new_surface_begins_as_all_of_them_and_becomes_itself() -> None:
    rng, calibration = np.random.default_rng(8), Calibration()
    place_N = np.ones(500, np.int64)
    for _ in range(20):
        score_N = rng.normal(1.0, 2.0, 500)
        calibration.learn("home", score_N, place_N, rng.random(500) < truth(score_N, place_N, 2.0))
    score_N = np.array([2.0])
    before = calibration.predict("mail", score_N, place_N[:1])
    assert before == pytest.approx(calibration.predict("home", score_N, place_N[:1]), rel=0.1)
    for _ in range(20):
        many_N = rng.normal(1.0, 2.0, 500)
        calibration.learn("mail", many_N, place_N, rng.random(500) < truth(many_N, place_N, 0.0))
    after = calibration.predict("mail", score_N, place_N[:1])
    assert after == pytest.approx(truth(score_N, place_N[:1], 0.0), rel=0.2)
    assert calibration.predict("home", score_N, place_N[:1]) == pytest.approx(before, rel=0.1)


def test_a_surface_without_a_name_doesnt_stand_for_all_of_them() -> None:
    rng, calibration = np.random.default_rng(9), Calibration()
    place_N = np.ones(300, np.int64)
    for surface in ("home", "", "home"):
        calibration.learn(surface, rng.normal(0, 2, 300), place_N, rng.random(300) < 0.1)
    restored = Calibration.of_state(calibration.state())
    assert restored.all.shown == 900
    score_N = np.zeros(1)
    one = calibration.predict("", score_N, place_N[:1])
    assert restored.predict("", score_N, place_N[:1]) == pytest.approx(one)


def test_a_state_goes_on_where_it_stopped() -> None:
    rng = np.random.default_rng(9)
    first = Calibration()
    place_N = np.ones(300, np.int64)
    batches = [(rng.normal(0, 2, 300), rng.random(300) < 0.1) for _ in range(6)]
    for score_N, click_N in batches[:3]:
        first.learn("home", score_N, place_N, click_N)
    second = Calibration.of_state(first.state())
    for score_N, click_N in batches[3:]:
        one = first.learn("home", score_N, place_N, click_N)
        other = second.learn("home", score_N, place_N, click_N)
        np.testing.assert_allclose(one, other, rtol=1e-3)
    assert second.all.shown == first.all.shown == 1_800


def told(shown_ms: int, *, item: str = "pot", final: bool = False, **acts: int) -> Outcome:
    return Outcome(
        recommendation_id="r",
        user_id="ann",
        item_id=item,
        place=1,
        places=1,
        surface="home",
        score=0.5,
        shown_ms=shown_ms,
        final=final,
        clicked_ms=acts.get("clicked"),
        carted_ms=acts.get("carted"),
        bought_ms=acts.get("bought"),
    )


@pytest.mark.parametrize(
    ("story", "wanted"),
    [
        ([told(0, clicked=1), told(0, clicked=1, carted=2)], [True, None]),
        ([told(0, carted=1), told(0, clicked=2, carted=1)], [True, None]),
        ([told(0, clicked=1), told(0, clicked=1, bought=3, final=True)], [True, None]),
        ([told(0, clicked=1), told(0, clicked=1, final=True)], [True, None]),
        ([told(0, bought=3, final=True)], [True]),
        ([told(0, final=True)], [False]),
    ],
)
def test_each_shown_item_is_learnt_once(story: list[Outcome], wanted: list[bool | None]) -> None:
    assert [label(one) for one in story] == wanted


def test_clicks_wait_for_what_was_passed_over_beside_them() -> None:
    labels = Labels()
    assert not list(labels.take([told(10, clicked=12), told(30, clicked=31)]))
    assert [one.clicked for one in labels.take([told(20, item="cup", final=True)])] == [True, False]
    again = Labels(labels.waiting)
    assert [one.clicked for one in again.take([told(40, item="cup", final=True)])] == [True, False]


def test_a_first_batch_full_of_clicks_is_not_believed_beyond_measure() -> None:
    rng, calibration = np.random.default_rng(4), Calibration()
    score_N, place_N = rng.normal(1.0, 2.0, 500), rng.integers(1, 11, 500)
    for _ in range(3):
        calibration.learn("home", score_N, place_N, rng.random(500) < 0.08)
        assert calibration.predict("home", score_N, place_N).max() < 0.2
