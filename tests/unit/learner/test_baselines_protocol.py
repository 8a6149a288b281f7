"""Playing a log to a model: what is learnt when, and what is ranked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.baselines.full_ranking import RankingConfig
from learner.baselines.lineup import FAMILIES, family
from learner.baselines.protocol import Events, FloatN, micro_batches, play


class Diary:
    """Writes down what it is asked to do; ranks an event by how many it has learnt."""

    name = "diary"

    def __init__(self) -> None:
        self.did: list[str] = []
        self.learnt = 0

    def rank(self, batch: Events) -> FloatN:
        self.did.append(f"rank {batch.item[0]}..{batch.item[-1]}")
        return np.full(batch.n_events, float(self.learnt))

    def learn(self, batch: Events) -> None:
        self.did.append(f"learn {batch.item[0]}..{batch.item[-1]}")
        self.learnt += batch.n_events


def numbered(ts_ms: list[int]) -> Events:
    """Item n is event n."""
    number = np.arange(len(ts_ms), dtype=np.int32)
    kind = np.zeros(len(ts_ms), np.int8)
    return Events(number, number, kind, np.array(ts_ms, np.int64), number)


def test_history_is_learnt_unranked_and_each_batch_is_ranked_before_it_is_learnt() -> None:
    diary = Diary()
    played = play(diary, numbered(list(range(10))), history=0.5, batch=3)
    assert diary.did == [
        "learn 0..2",
        "learn 3..4",
        "rank 5..7",
        "learn 5..7",
        "rank 8..9",
        "learn 8..9",
    ]
    assert played.rank.tolist() == [5, 5, 5, 8, 8]
    assert min(played.history_s, played.rank_s, played.learn_s) >= 0


def test_a_shorter_stream_keeps_its_history() -> None:
    diary = Diary()
    played = play(diary, numbered(list(range(10))), history=0.5, batch=3, stream_max=2)
    assert diary.did[-2:] == ["rank 5..6", "learn 5..6"]
    assert played.rank.size == 2


def test_whole_instants_split_neither_batches_nor_history_from_stream() -> None:
    diary = Diary()
    days = [1, 1, 2, 2, 2, 2, 3, 4]
    played = play(diary, numbered(days), history=0.5, batch=1, instants_whole=True)
    # Half of 8 would cut day 2: its events 2..5 go to the stream together.
    assert diary.did[:3] == ["learn 0..1", "rank 2..5", "learn 2..5"]
    assert played.rank.size == 6


@given(
    st.lists(st.integers(0, 3), max_size=40), st.integers(1, 9), st.booleans(), st.integers(0, 40)
)
def test_batches_cover_the_log_once_in_order(
    gaps: list[int], size: int, instants_whole: bool, start: int
) -> None:
    log = numbered(np.cumsum(gaps).tolist())
    start = min(start, len(gaps))
    cuts = list(micro_batches(log, size, start=start, instants_whole=instants_whole))
    assert [n for a, b in cuts for n in range(a, b)] == list(range(start, len(gaps)))
    if instants_whole:
        assert all(log.ts_ms[b - 1] < log.ts_ms[b] for _, b in cuts[:-1])
    else:
        assert all(b - a == size for a, b in cuts[:-1])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_member_of_a_family_plays(name: str) -> None:
    makers = family(name, RankingConfig(n_items=10))
    names = [make().name for make in makers]
    assert len(set(names)) == len(names)
    for make in makers:
        assert play(make(), numbered(list(range(10))), batch=2).rank.tolist() == [np.inf] * 3


def test_an_unknown_family_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'popular'.*popularity, covisitation"):
        family("popular", RankingConfig(n_items=1))
