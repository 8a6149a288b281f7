"""What serving gets: every mask is respected, new items come at once, what was learnt leads."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.config import LearnerConfig
from learner.online import OnlineLearner
from learner.scorer import Scorer
from learner.speaking import HEARD
from learner.state import save_learner
from stream.events import Step
from stream.seen import item_code
from tests.unit.learner.toy import (
    CONFIG,
    START_MS,
    WIDTH,
    catalogue,
    example,
    habits,
    item,
    shelf,
)

ITEMS = shelf("a", 8) + shelf("b", 8)
NOW_MS = START_MS + 10_000_000


def past(*item_ids: str) -> list[Step]:
    return [Step(item_id, "click", NOW_MS - 60_000) for item_id in item_ids]


def names(catalog: Catalog, rows: NDArray[np.int32]) -> list[str]:
    return [catalog.item(int(row)).item_id for row in rows if row >= 0]


def laid_out(catalog: Catalog, history: list[Step]) -> NDArray[np.int32]:
    return catalog.rows(step.item_id for step in history)[None]


@pytest.fixture(scope="module")
def taught() -> OnlineLearner:
    learner = OnlineLearner(catalogue(ITEMS), CONFIG)
    learner.learn_many(habits(240, 8))
    return learner


@pytest.fixture
def scorer(taught: OnlineLearner) -> Scorer:
    catalog = catalogue(ITEMS[::-1])
    return Scorer.of_version(save_learner(taught), catalog, device="cpu")


def test_untrained_it_recommends_what_reads_alike() -> None:
    catalog = catalogue(ITEMS)
    scorer = Scorer.untrained(catalog, CONFIG)
    ranked = scorer.rank_many([past("a1", "a2"), past("b3")], NOW_MS, k=4)
    assert {name[0] for name in names(catalog, ranked.rows_BK[0])} == {"a"}
    assert {name[0] for name in names(catalog, ranked.rows_BK[1])} == {"b"}


def test_an_untrained_order_is_text_likeness_exactly() -> None:
    catalog = catalogue(ITEMS)
    whole = msgspec.structs.replace(
        CONFIG.model,
        candidates=msgspec.structs.replace(CONFIG.model.candidates, all_items_below=99),
    )
    scorer = Scorer.untrained(catalog, msgspec.structs.replace(CONFIG, model=whole))
    ranked = scorer.rank_many([past("a1")], NOW_MS, k=len(ITEMS))
    likeness = catalog.vectors @ catalog.vectors[catalog.row("a1")]
    assert np.all(np.diff(likeness[ranked.rows_BK[0]]) <= 1e-6)


def test_a_published_version_ranks_what_was_learnt(scorer: Scorer) -> None:
    ranked = scorer.rank_many([past("a3"), past("a5")], NOW_MS, k=1)
    catalog = catalogue(ITEMS[::-1])
    assert [names(catalog, rows) for rows in ranked.rows_BK] == [["b3"], ["b5"]]


def test_nothing_that_is_masked_or_unavailable_is_shown(taught: OnlineLearner) -> None:
    catalog = catalogue(ITEMS)
    catalog.upsert([item("b3", available=False)])
    catalog.delete(["b4"])
    scorer = Scorer.of_version(save_learner(taught), catalog, device="cpu")
    only_b = np.array([name.startswith("b") for name in ITEMS])
    not_b5 = np.array([name != "b5" for name in ITEMS])
    ranked = scorer.rank_many([past("a3"), past("a5")], NOW_MS, 20, only_b, [None, not_b5])
    first, second = (set(names(catalog, rows)) for rows in ranked.rows_BK)
    assert first == {"b0", "b1", "b2", "b5", "b6", "b7"}
    assert second == first - {"b5"}


def test_a_narrow_filter_still_fills_the_list(scorer: Scorer) -> None:
    rare = np.zeros(len(ITEMS), np.bool_)
    rare[[2, 9, 11]] = True
    ranked = scorer.rank_many([past("a3")], NOW_MS, 3, None, [rare])
    assert sorted(ranked.rows_BK[0].tolist()) == [2, 9, 11]
    assert np.all(np.diff(ranked.scores_BK[0]) <= 0)


def shop_with_repeats() -> OnlineLearner:
    """As in `habits` b follows a; but all have had that b before."""
    learner = OnlineLearner(catalogue(ITEMS), CONFIG)
    learner.learn_many([example(n, f"b{n % 8}", [f"b{n % 8}", f"a{n % 8}"]) for n in range(240)])
    return learner


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("kept", [6, 50, 60])
def test_what_was_had_60_steps_ago_is_shown_only_where_things_are_had_again(
    taught: OnlineLearner, repeats: bool, kept: int
) -> None:
    catalog = catalogue(ITEMS)
    learner = shop_with_repeats() if repeats else taught
    scorer = Scorer.of_version(save_learner(learner), catalog, device="cpu")
    long = past("b3", *["a5", "a6", "a3"] * 20)
    older, history = long[:-kept], long[-kept:]
    seen = b"".join(item_code(step.item_id) for step in older)
    two_only = np.array([name in {"b3", "b4"} for name in ITEMS])
    for allowed in (None, two_only):  # as ranked, and as a list that has to be filled
        ranked = scorer.rank_many([[], history], NOW_MS, 16, allowed, seen=[b"", seen])
        fresh, had = (names(catalog, rows) for rows in ranked.rows_BK)
        assert "b3" in fresh
        assert ("b3" in had) == repeats
        assert "b4" in had


def test_an_item_that_came_after_the_version_is_recommended_by_its_text(
    taught: OnlineLearner,
) -> None:
    catalog = catalogue(ITEMS)
    scorer = Scorer.of_version(save_learner(taught), catalog, device="cpu")
    catalog.upsert([item("c0"), item("c1")])
    ranked = scorer.rank_many([past("c0")], NOW_MS, k=5)
    assert "c1" in names(catalog, ranked.rows_BK[0])


def test_a_user_without_a_past_gets_what_is_popular(scorer: Scorer) -> None:
    ranked = scorer.rank_many([[]], NOW_MS, k=5)
    assert all(name[0] == "b" for name in names(catalogue(ITEMS[::-1]), ranked.rows_BK[0]))


def test_an_empty_catalogue_and_no_users_give_empty_lists() -> None:
    scorer = Scorer.untrained(Catalog(WIDTH), CONFIG)
    ranked = scorer.rank_many([past("a1"), []], NOW_MS, k=3)
    assert ranked.rows_BK.tolist() == [[-1] * 3] * 2
    assert scorer.rank_many([], NOW_MS, k=3).rows_BK.shape == (0, 3)


def test_all_unavailable_gives_an_empty_list(taught: OnlineLearner) -> None:
    catalog = catalogue(ITEMS)
    scorer = Scorer.of_version(save_learner(taught), catalog, device="cpu")
    catalog.delete(ITEMS)
    assert scorer.rank_many([past("a1")], NOW_MS, k=2).rows_BK.tolist() == [[-1, -1]]


def test_users_do_not_change_each_others_lists(scorer: Scorer) -> None:
    users = [past(f"a{n % 8}", f"b{n % 5}") for n in range(70)]
    together = scorer.rank_many(users, NOW_MS, k=4)
    alone = scorer.rank_many(users[66:67], NOW_MS, k=4)
    assert together.rows_BK[66].tolist() == alone.rows_BK[0].tolist()


def test_evidence_points_to_the_step_that_led_there(scorer: Scorer) -> None:
    catalog = catalogue(ITEMS[::-1])
    history = [*past("a3"), *past("a6"), *past("gone")]
    [weights] = scorer.evidence_many(laid_out(catalog, history), catalog.rows(["b3", "b6"])[None])
    assert weights.shape == (2, 3)
    assert weights.argmax(axis=1).tolist() == [0, 1]
    assert np.all(weights >= 0)
    assert np.all(weights[:, 2] == 0)


def test_an_item_is_no_evidence_for_itself(scorer: Scorer) -> None:
    catalog = catalogue(ITEMS[::-1])
    rows = catalog.rows(["b3"])[None]
    assert scorer.evidence_many(laid_out(catalog, past("b3")), rows).tolist() == [[[0.0]]]


def test_users_speak_for_their_own_lists_alone(scorer: Scorer) -> None:
    catalog = catalogue(ITEMS[::-1])
    users = [past(*(f"a{(n + t) % 8}" for t in range(20))) for n in range(5)]
    past_BT = np.concatenate([laid_out(catalog, user) for user in users])
    past_BT[3, :17] = -1
    rows_BP = np.stack([catalog.rows([f"b{n}", f"b{(3 * n) % 8}", "a1"]) for n in range(5)])
    rows_BP[2, 1:] = -1
    together = scorer.evidence_many(past_BT, rows_BP)
    assert together.shape == (5, 3, 20)
    for user in range(5):
        alone = scorer.evidence_many(past_BT[user : user + 1], rows_BP[user : user + 1])
        np.testing.assert_allclose(together[user], alone[0], rtol=1e-5, atol=1e-7)
    assert not together[3, :, :17].any() and not together[2, 1:].any()
    assert not together[:, :, : 20 - HEARD].any()
    assert together[[0, 1, 2, 4], 0].any(axis=1).all()


def test_text_vectors_of_another_width_are_refused(taught: OnlineLearner) -> None:
    with pytest.raises(ValueError, match="width"):
        Scorer.of_version(save_learner(taught), Catalog(WIDTH + 1))


def test_a_version_brings_its_own_shape(taught: OnlineLearner) -> None:
    saved = save_learner(taught)
    assert saved.meta["config"]["model"]["width"] != LearnerConfig().model.width
    assert Scorer.of_version(saved, catalogue(ITEMS)).rank_many([past("a1")], NOW_MS, k=1)
