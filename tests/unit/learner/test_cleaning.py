"""Events that no shopper means: ranked, remembered, and not learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.batch import Histories
from learner.cleaning import REASONS, noise_B
from learner.config import CleaningConfig
from learner.online import OnlineLearner
from stream.events import Example, Step
from tests.unit.learner.toy import CONFIG, START_MS, catalogue, example, shelf

STEPS = 50
CONFIG_DEFAULT = CleaningConfig()


def past_of(times_ms: Sequence[int], now_ms: int, items: Sequence[int] | None = None) -> Histories:
    """One user's steps, at items of their own unless given."""
    n = len(times_ms)
    rows_BT, ts_BT = np.full((1, STEPS), -1, np.int32), np.zeros((1, STEPS), np.int64)
    if n:
        rows_BT[0, -n:] = list(items) if items is not None else range(100, 100 + n)
        ts_BT[0, -n:] = [START_MS + at for at in times_ms]
    return Histories(
        rows_BT,
        np.zeros((1, STEPS), np.int8),
        ts_BT,
        np.zeros((1, STEPS), np.float32),
        np.array([START_MS + now_ms]),
        np.array([n], np.int32),
    )


def why(past: Histories, config: CleaningConfig = CONFIG_DEFAULT) -> str | None:
    code = int(noise_B(past, np.array([4], np.int32), config)[0])
    return None if code < 0 else REASONS[code]


@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=STEPS),
    st.sampled_from([1_000, 60_000, 86_400_000]),
)
def test_a_clock_in_whole_units_makes_nobody_hasty(gaps_ms: list[int], unit_ms: int) -> None:
    exact = np.cumsum(gaps_ms)
    rough = (exact // unit_ms * unit_ms).tolist()
    assert why(past_of(rough, rough[-1])) in (None, "metronome")
    assert why(past_of([rough[0]] * len(rough), rough[0])) is None


@pytest.mark.parametrize(("gap_ms", "reason"), [(200, "haste"), (30_000, "metronome")])
def test_a_script_is_recognised_by_its_pace(gap_ms: int, reason: str) -> None:
    # The hasty one is no metronome: every second step takes half as long.
    uneven = gap_ms // 2 if reason == "haste" else gap_ms
    times = np.cumsum([gap_ms, uneven] * (STEPS // 2)).tolist()
    assert why(past_of(times, times[-1] + gap_ms)) == reason


def test_a_shopper_is_none() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        times = np.cumsum(500 + random.exponential(4_000, STEPS + 1)).astype(int).tolist()
        assert why(past_of(times[:-1], times[-1])) is None


def test_the_same_item_again_within_a_moment_is_an_echo() -> None:
    assert why(past_of([0, 5_000], 5_400, items=[7, 4])) == "echo"
    assert why(past_of([0, 5_000], 6_400, items=[7, 4])) is None
    assert why(past_of([0, 5_000], 5_400, items=[4, 7])) is None


def test_from_the_cart_to_the_till_is_no_echo() -> None:
    one = past_of([5_000], 5_400, items=[4])
    assert why(replace(one, doing_B=np.array([0], np.int8))) == "echo"
    assert why(replace(one, doing_B=np.array([3], np.int8))) is None


def test_each_can_be_switched_off() -> None:
    script = past_of([n * 100 for n in range(STEPS)], STEPS * 100)
    assert why(script) == "metronome"
    assert why(script, CleaningConfig(metronome_spread=0.0)) == "haste"
    assert why(script, CleaningConfig(metronome_spread=0.0, haste_s=0.0)) is None
    assert why(past_of([0], 100, items=[4]), CleaningConfig(echo_s=0.0)) is None


def hasty(n: int) -> Example:
    """An event of a script that looks at an item every tenth of a second."""
    one = example(n, "b0")
    steps = tuple(Step(f"a{k}", "view", one.ts_ms - 100 * (9 - k)) for k in range(9))
    return msgspec.structs.replace(one, history=steps)


@pytest.mark.parametrize("on", [True, False])
def test_noise_is_ranked_counted_and_not_learnt(on: bool) -> None:
    config = msgspec.structs.replace(CONFIG, cleaning=CleaningConfig(on=on))
    learner = OnlineLearner(catalogue([*shelf("a", 12), *shelf("b", 4)]), config)
    report = learner.learn_many([hasty(n) for n in range(16)])
    assert report.learnt == 16
    assert len(report.rank_N) == 16
    assert learner.noise.tolist() == ([0, 16, 0] if on else [0, 0, 0])
    taken = learner.ranker.experts.taken_I[learner.catalog.row("b0")]
    assert (taken == 0) == on
