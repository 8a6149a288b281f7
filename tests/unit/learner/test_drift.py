"""Drift: a planted jump of the loss is signalled soon, calm is calm, and the response fades."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from learner.drift import Response, watch
from learner.drift_river import RiverDetector, adwin, default_detectors, novelty, page_hinkley

MAKERS = {"adwin": adwin, "page_hinkley": page_hinkley, "novelty": novelty}


def losses(mean: float, count: int, seed: int) -> NDArray[np.float64]:
    """Losses as a learner has them: many small, some large."""
    return np.random.default_rng(seed).gamma(shape=2.0, scale=mean / 2.0, size=count)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_rise_of_the_loss_is_signalled_within_a_thousand_examples(name: str, seed: int) -> None:
    detector = MAKERS[name]()
    assert detector.update(losses(3.0, 6_000, seed)) == 0
    assert detector.update(losses(5.0, 1_000, seed + 100)) > 0


@pytest.mark.parametrize("name", MAKERS)
def test_twenty_thousand_calm_examples_are_calm(name: str) -> None:
    assert MAKERS[name]().update(losses(3.0, 20_000, seed=7)) == 0


@pytest.mark.parametrize("name", MAKERS)
def test_a_falling_loss_is_good_news_and_no_drift(name: str) -> None:
    detector = MAKERS[name]()
    detector.update(losses(5.0, 4_000, seed=1))
    assert detector.update(losses(2.0, 2_000, seed=2)) == 0


@pytest.mark.parametrize("level", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("name", MAKERS)
def test_the_level_of_the_losses_does_not_matter(name: str, level: float) -> None:
    found = [
        MAKERS[name]().update(
            scale * np.concatenate([losses(3.0, 4_000, 5), losses(5.0, 1_000, 6)])
        )
        for scale in (1.0, level)
    ]
    assert found[0] == found[1] > 0


@given(cuts=st.lists(st.integers(1, 4_999), max_size=8))
def test_signals_do_not_depend_on_how_losses_are_cut(cuts: list[int]) -> None:
    values = np.concatenate([losses(3.0, 4_000, 5), losses(6.0, 1_000, 6)])
    whole, parts = page_hinkley(), page_hinkley()
    found = sum(parts.update(part) for part in np.split(values, sorted(set(cuts))))
    assert found == whole.update(values)


def test_detectors_have_names_of_their_own() -> None:
    names = [detector.name for detector in default_detectors()]
    assert len(set(names)) == len(names)


def test_only_who_found_a_change_is_named_and_the_response_peaks_once() -> None:
    response = Response(factor=3.0, half_life=100)
    calm: list[RiverDetector] = [adwin(), page_hinkley()]
    assert watch(calm, response, {"loss": losses(3.0, 64, 1)}) == ()
    assert response.factor == 1.0
    response.signal()
    response.signal()
    assert response.factor == 3.0
    response.pass_by(200)
    assert response.factor == 1.5
