"""A burst of rubbish: with the gate, what shoppers see outlives it.

`tests.bench.corruption` in small. Everybody walks along a shelf of 120 items, from wherever they
begin: a reader knows the next item.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from learner.online import OnlineLearner
from stream.events import Event
from tests.bench.corruption import Outcome, corrupted, learnt, play
from tests.unit.learner.toy import CONFIG, START_MS, catalogue, shelf

ITEMS = shelf("a", 120)
HISTORY, STREAM = 1_000, 1_200


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def walks(count: int) -> list[Event]:
    random = np.random.default_rng(1)
    place = random.integers(0, len(ITEMS), 60)
    made = []
    for n in range(count):
        user = int(random.integers(len(place)))
        place[user] = (place[user] + 1) % len(ITEMS)
        made.append(
            Event(
                event_id=f"e{n}",
                user_id=f"u{user}",
                item_id=ITEMS[place[user]],
                kind="click",
                ts_ms=START_MS + 1_000 * n,
                source="",
                received_ms=START_MS + 1_000 * n,
            )
        )
    return made


@pytest.fixture(scope="module")
def walked() -> tuple[list[Event], OnlineLearner]:
    events = walks(HISTORY + STREAM)
    train = msgspec.structs.replace(CONFIG.train, batch=32)
    config = msgspec.structs.replace(CONFIG, train=train)
    return events, learnt(events[:HISTORY], catalogue(ITEMS), config)


def outcome(walked: tuple[list[Event], OnlineLearner], kind: str, way: str) -> Outcome:
    events, learner = walked
    stream = corrupted(events[HISTORY:], ITEMS, kind, clicks=800)
    return play(learner, events[:HISTORY], stream, way=way, every=128)


def test_the_live_version_outlives_a_burst_of_shuffled_labels(
    walked: tuple[list[Event], OnlineLearner],
) -> None:
    open_, gated = (outcome(walked, "shuffled", way) for way in ("open", "gate"))
    assert gated.ndcg10["before"] > 0.8
    assert gated.ndcg10["during"] > 0.95 * gated.ndcg10["before"]
    assert gated.ndcg10["after"] > 0.95 * gated.ndcg10["before"]
    assert gated.ndcg10["during"] > open_.ndcg10["during"]
    assert "held" in gated.decisions
    assert "restored" in gated.decisions


def test_the_live_version_outlives_a_bot(walked: tuple[list[Event], OnlineLearner]) -> None:
    gated = outcome(walked, "bot", "gate")
    assert gated.ndcg10["after"] > 0.9 * gated.ndcg10["before"]


def test_without_rubbish_everything_is_published(
    walked: tuple[list[Event], OnlineLearner],
) -> None:
    assert set(outcome(walked, "none", "gate").decisions) == {"published"}
