"""A season of the simulated shop: the learner sounds the alarm soon, and is soon as good as before.

`python -m tests.bench shifts` measures the same at full length, with real text vectors and with the
transformer; here it is off.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from learner.batch import Histories
from learner.config import LearnerConfig
from learner.novelty import LEAST_OLDER, NEWEST_LEFT_OUT, novelty
from stream.shop import Shop, ShopConfig
from tests.bench.shifts import Course, change_at, play, season_figures
from tests.unit.drawn_vectors import WIDTH, drawn_catalogue

BEFORE, AFTER = 3_000, 2_000


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_a_season_is_noticed_within_500_events_and_made_up_for_within_2000() -> None:
    shop = Shop(101, ShopConfig(season_at=BEFORE))
    log = shop.clean_events(BEFORE + AFTER)
    config = LearnerConfig(device="cpu")
    config = msgspec.structs.replace(
        config,
        model=msgspec.structs.replace(config.model, transformer=False),
        encoder=msgspec.structs.replace(config.encoder, width=WIDTH),
    )
    figures = season_figures(play(log, drawn_catalogue(shop, 101), config), change_at(log, BEFORE))
    assert 0 < figures["delay"] <= 500, figures
    assert figures["false_alarms"] == 0, figures
    assert 0 < figures["back_after"] <= 2_000, figures


def test_the_figures_of_a_season_are_what_a_reader_would_say() -> None:
    gain = np.concatenate([np.full(2_000, 0.4), np.full(700, 0.2), np.full(2_000, 0.4)])
    figures = season_figures(Course(gain, alarms=(500, 2_320, 2_400, 4_000)), at=2_000)
    assert figures["delay"] == 320
    assert figures["false_alarms"] == 2
    assert (figures["ndcg10_before"], figures["ndcg10_lowest"]) == (0.4, 0.2)
    assert 1_000 < figures["back_after"] <= 1_200
    never = season_figures(Course(np.r_[np.full(2_000, 0.4), np.full(1_000, 0.1)], ()), at=2_000)
    assert (never["delay"], never["back_after"]) == (-1, -1)


def test_what_is_new_is_told_from_what_was_done_long_before() -> None:
    east, north = np.eye(2, dtype=np.float32)
    vectors = np.stack([east, north, np.zeros(2, np.float32)])
    steps = LEAST_OLDER + NEWEST_LEFT_OUT
    rows = np.full((4, steps), 0, np.int32)
    rows[1, -NEWEST_LEFT_OUT:] = 1  # north, but only lately
    rows[2, :LEAST_OLDER] = -1  # too short a history
    none = np.zeros((4, steps))
    past = Histories(
        rows,
        none.astype(np.int8),
        none.astype(np.int64),
        none.astype(np.float32),
        np.zeros(4, np.int64),
        np.full(4, steps, np.int32),
    )
    targets = np.array([0, 1, 1, 2], np.int32)  # the last one has no text
    np.testing.assert_allclose(novelty(vectors, past, targets), [0.0, 1.0])
