"""Replay keeps the newest, gives back what was put in, and finds items by id after a restart."""

from __future__ import annotations

import numpy as np
import pytest

from learner.batch import Histories
from learner.features import F
from learner.replay import Lesson, Replay

STEPS, LISTED = 3, 4


def lesson(first: int, count: int) -> Lesson:
    """Examples numbered from `first`: the number stands wherever a number can."""
    n = np.arange(first, first + count)
    past = Histories(
        rows_BT=np.repeat(n[:, None], STEPS + 2, axis=1).astype(np.int32),
        kinds_BT=np.ones((count, STEPS + 2), np.int8),
        ts_BT=np.repeat(n[:, None], STEPS + 2, axis=1).astype(np.int64),
        ratings_BT=np.zeros((count, STEPS + 2), np.float32),
        now_B=n.astype(np.int64),
        events_B=n.astype(np.int32),
    )
    rows = np.repeat(n[:, None], LISTED, axis=1).astype(np.int32)
    features = np.zeros((count, LISTED, F), np.float32)
    features[:] = n[:, None, None] / 8.0
    return Lesson(past, rows, features, n.astype(np.int32))


@pytest.mark.parametrize("parts", [[5, 5, 5], [15], [1] * 15, [7, 8]])
def test_the_newest_ones_stay_however_they_came(parts: list[int]) -> None:
    replay = Replay(size=8, steps=STEPS, listed=LISTED)
    first = 0
    for count in parts:
        # A batch never exceeds the ring's size in one go.
        for start in range(0, count, 8):
            size = min(8, count - start)
            replay.add(lesson(first, size))
            first += size
    kept = replay.sample(8, np.random.default_rng(0))
    assert sorted(kept.target_B.tolist()) == list(range(7, 15))
    assert np.array_equal(kept.rows_BL[:, 0], kept.target_B)
    assert np.array_equal(kept.past.now_B, kept.target_B)
    assert np.array_equal(kept.features_BLF[:, 0, 0], kept.target_B / 8.0)
    assert kept.past.rows_BT.shape == (8, STEPS)


def test_a_sample_has_nobody_twice_and_no_more_than_there_are() -> None:
    replay = Replay(size=64, steps=STEPS, listed=LISTED)
    replay.add(lesson(0, 10))
    drawn = replay.sample(32, np.random.default_rng(1)).target_B.tolist()
    assert sorted(drawn) == list(range(10))


def test_a_restart_with_other_rows_keeps_items_and_drops_what_is_gone() -> None:
    replay = Replay(size=8, steps=STEPS, listed=LISTED)
    replay.add(lesson(0, 3))
    other = Replay(size=8, steps=STEPS, listed=LISTED)
    other.restore(replay.state(), row_of_I=np.array([7, -1, 5]))
    kept = other.sample(3, np.random.default_rng(0))
    found = {int(now): int(row) for now, row in zip(kept.past.now_B, kept.target_B, strict=True)}
    assert found == {0: 7, 1: -1, 2: 5}
    assert len(other) == 3
    assert np.array_equal(kept.rows_BL[:, 0], kept.target_B)


def test_no_replay_is_no_replay() -> None:
    replay = Replay(size=0, steps=STEPS, listed=LISTED)
    replay.add(lesson(0, 3))
    assert len(replay) == 0
