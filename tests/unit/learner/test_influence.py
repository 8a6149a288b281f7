"""What a user may teach by doing the same thing again and again."""

from __future__ import annotations

import msgspec
import numpy as np

from learner.batch import Histories
from learner.influence import teaching_B
from learner.online import OnlineLearner
from stream.events import Example
from tests.unit.learner.toy import CONFIG, START_MS, catalogue, example, habits, shelf

SECOND_MS, DAY_MS = 1_000, 86_400_000
STEPS = 50


def visits(count: int, every_ms: int) -> Histories:
    """A user's visits to item 0: each with the visits before it, and nothing else."""
    age_T = np.arange(STEPS, 0, -1)
    number_B1 = np.arange(count)[:, None]
    real_BT = age_T <= number_B1
    now_B = START_MS + np.arange(count, dtype=np.int64) * every_ms
    return Histories(
        np.where(real_BT, 0, -1).astype(np.int32),
        np.zeros((count, STEPS), np.int8),
        np.where(real_BT, now_B[:, None] - age_T * every_ms, 0),
        np.zeros((count, STEPS), np.float32),
        now_B,
        np.arange(count, dtype=np.int32),
    )


def taught(past: Histories, item: int = 0) -> int:
    target_B = np.full(len(past), item, np.int32)
    return int(teaching_B(past, target_B, np.random.default_rng(0)).sum())


def test_ten_thousand_clicks_teach_what_a_dozen_do() -> None:
    assert 8 <= taught(visits(10_000, SECOND_MS)) <= 16


def test_who_comes_every_day_teaches_all_of_it() -> None:
    assert taught(visits(365, DAY_MS)) == 365


def test_other_items_of_the_same_user_teach_all() -> None:
    assert taught(visits(1_000, SECOND_MS), item=1) == 1_000


def test_a_pause_is_enough_to_be_heard_again() -> None:
    past = visits(200, SECOND_MS)
    later = Histories(
        past.rows_BT, past.kinds_BT, past.ts_BT, past.ratings_BT, past.now_B + DAY_MS, past.events_B
    )
    assert taught(past.take(slice(100, 200))) == 0
    assert taught(later.take(slice(100, 200))) == 100


def test_where_nobody_repeats_much_nothing_is_drawn() -> None:
    generator = np.random.default_rng(3)
    teaching_B(visits(8, SECOND_MS), np.zeros(8, np.int32), generator)
    assert generator.random() == np.random.default_rng(3).random()


def test_a_bot_moves_neither_counts_nor_the_ranking_of_others() -> None:
    """The same honest events, with and without 400 clicks of a bot between them."""
    items = shelf("a", 8) + shelf("b", 8) + ["c0"]
    honest = habits(64, 8)
    clicks = [example(0, "c0", ["c0"] * min(n, 8)) for n in range(400)]
    learners = [OnlineLearner(catalogue(items), CONFIG) for _ in range(2)]
    for one, stream in zip(learners, (honest, [*honest[:32], *clicks, *honest[32:]]), strict=True):
        one.learn_many(numbered(stream))
    alone, beside = learners
    row = alone.catalog.row("c0")
    assert alone.ranker.experts.taken_I[row] == 0
    assert 0 < beside.ranker.experts.taken_I[row] < 25
    others = np.arange(len(items)) != row
    assert np.array_equal(
        alone.ranker.experts.taken_I[others], beside.ranker.experts.taken_I[others]
    )
    asked = numbered(habits(64, 8, seed=4), first=1_000)
    worth = [one.learn_many(asked).ndcg10 for one in learners]
    assert worth[1] > worth[0] - 0.05


def test_what_teaches_nothing_is_ranked_all_the_same() -> None:
    one = OnlineLearner(catalogue(["a0", "a1", "c0"]), CONFIG)
    clicks = [example(n, "c0", ["c0"] * min(n, 8)) for n in range(64)]
    report = one.learn_many(clicks)
    assert (report.examples, report.learnt, len(report.rank_N)) == (64, 64, 64)


def numbered(examples: list[Example], first: int = 0) -> list[Example]:
    """The examples at one moment after the other, each history a minute apart before it."""
    made = []
    for n, one in enumerate(examples, start=first):
        shift_ms = START_MS + n * SECOND_MS - one.ts_ms
        past = tuple(
            msgspec.structs.replace(step, ts_ms=step.ts_ms + shift_ms) for step in one.history
        )
        made.append(
            msgspec.structs.replace(one, offset=n, ts_ms=one.ts_ms + shift_ms, history=past)
        )
    return made
