"""The detector with its state outside: what River's own object does, value by value."""

from __future__ import annotations

import random

import msgspec
import pytest
from river.drift import PageHinkley

from features.drift_river import PageHinkleyDetector
from features.interest import InterestConfig
from features.shift import DetectorState

CONFIG = InterestConfig(shift_min_events=5, shift_delta=0.02, shift_threshold=0.5)


RECORDED = (6, 0.23333333333333334, 0.30832633258346653, -0.043332333533333364)
"""Count, mean, summed rise and its lowest, as River 0.26.1 has them after the six values below."""


def values(seed: int, count: int = 200) -> list[float]:
    """Low, high, low, high: 50 values each, with noise."""
    rng = random.Random(seed)
    return [rng.gauss(0.1 if n // 50 % 2 == 0 else 0.6, 0.05) for n in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_what_a_river_detector_finds(seed: int) -> None:
    theirs = PageHinkley(min_instances=5, delta=0.02, threshold=0.5, mode="up")
    ours, state = PageHinkleyDetector(CONFIG), DetectorState()
    for value in values(seed):
        theirs.update(value)
        state, risen = ours.step(
            msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=DetectorState), value
        )
        assert risen == theirs.drift_detected


def test_users_do_not_mix() -> None:
    detector = PageHinkleyDetector(CONFIG)
    alone: list[bool] = []
    state = DetectorState()
    for value in values(1):
        state, risen = detector.step(state, value)
        alone.append(risen)
    mixed: list[bool] = []
    ada, bob = DetectorState(), DetectorState()
    for value, other in zip(values(1), values(2), strict=True):
        ada, risen = detector.step(ada, value)
        mixed.append(risen)
        bob, _ = detector.step(bob, other)
    assert mixed == alone
    assert any(alone)


def test_a_recorded_sequence() -> None:
    # A change here means that states stored with an earlier River would be misread.
    detector, state = PageHinkleyDetector(CONFIG), DetectorState()
    for value in [0.1, 0.2, 0.1, 0.3, 0.2, 0.5]:
        state, risen = detector.step(state, value)
        assert not risen
    assert msgspec.structs.astuple(state) == pytest.approx(RECORDED)
    state, risen = detector.step(state, 0.9)
    assert risen
    assert state == DetectorState()
