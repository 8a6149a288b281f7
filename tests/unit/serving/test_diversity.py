"""MMR: keeps the order at 1, spreads categories below it, and never repeats or loses an item."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Catalog
from serving import diversity
from serving.config import ServingConfig
from serving.diversity import Diversity, diversify_many
from serving.same_product import Alike
from stream.events import ItemVector
from tests.unit.serving.shop import PLAIN, TEAS, ask, recommender, user


def categories(config: ServingConfig) -> list[str]:
    ann = user("ann", ("chai", "view"), ("axe", "view"))
    [answer] = recommender(config=config).answer_many([ask("ann", k=4)], [ann])
    return ["tea" if entry.item_id in TEAS else "tool" for entry in answer.items]


def test_a_list_of_one_kind_becomes_a_list_of_two() -> None:
    assert categories(PLAIN) == ["tea"] * 4
    mixed = categories(msgspec.structs.replace(PLAIN, mmr_lambda=0.5))
    assert mixed[:2] == ["tea", "tool"]


def test_near_duplicates_come_last_even_where_the_order_is_kept() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    rows, scores = np.array([[0, 1, 2]], np.int32), np.array([[3, 2, 1]], np.float32)
    picked, kept = diversify_many(rows, scores, vectors, wanted_B=[3], how=Diversity(1.0, 0.98))
    assert picked.tolist() == [[0, 2, 1]]
    assert kept.tolist() == [[3, 1, 2]]


@pytest.mark.parametrize("mmr_lambda", [0.0, 0.3, 1.0])
def test_padding_is_never_picked(mmr_lambda: float) -> None:
    vectors = np.eye(3, dtype=np.float32)
    rows = np.array([[2, -1, -1], [-1, -1, -1], [1, 0, -1]], np.int32)
    picked, _ = diversify_many(
        rows, np.zeros((3, 3), np.float32), vectors, wanted_B=[3] * 3, how=Diversity(mmr_lambda)
    )
    assert [sorted(row) for row in picked.tolist()] == [[-1, -1, 2], [-1, -1, -1], [-1, 0, 1]]
    assert all(-1 not in row[:-1] or row[-1] == -1 for row in picked.tolist())


def by_hand(
    rows: list[int], scores: list[float], vectors: np.ndarray, picks: int, mmr_lambda: float
) -> list[int]:
    """MMR as the paper writes it, one user, one item at a time."""
    low, high = scores[19], scores[0]
    relevance = [max(0.0, (score - low) / (high - low)) for score in scores]
    picked: list[int] = []
    while len(picked) < min(picks, len(rows)):
        values = {
            i: mmr_lambda * relevance[i]
            - (1 - mmr_lambda)
            * max((max(0.0, float(vectors[rows[i]] @ vectors[rows[j]])) for j in picked), default=0)
            for i in range(len(rows))
            if i not in picked
        }
        picked.append(max(values, key=lambda i: values[i]))
    return [rows[i] for i in picked]


@given(
    seed=st.integers(0, 10_000),
    mmr_lambda=st.sampled_from([0.2, 0.5, 0.8, 0.95]),
    picks=st.integers(1, 10),
)
def test_the_batch_gives_what_the_paper_gives_for_each_user(
    seed: int, mmr_lambda: float, picks: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(30, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.stack([random.permutation(30) for _ in range(4)]).astype(np.int32)
    scores = -np.sort(-random.normal(size=(4, 30)).astype(np.float32), axis=1)
    picked, _ = diversify_many(
        rows, scores, vectors, wanted_B=[picks] * 4, how=Diversity(mmr_lambda)
    )
    for user_row in range(4):
        assert picked[user_row].tolist() == by_hand(
            rows[user_row].tolist(), scores[user_row].tolist(), vectors, picks, mmr_lambda
        )


def test_large_batches_are_cut_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(50, 8)).astype(np.float32)
    rows = random.integers(0, 50, (33, 9)).astype(np.int32)
    scores = random.normal(size=(33, 9)).astype(np.float32)
    whole, _ = diversify_many(rows, scores, vectors, wanted_B=[4] * 33, how=Diversity(0.5))
    monkeypatch.setattr(diversity, "_CHUNK_FLOATS", 8 * 9 * 4)
    cut, _ = diversify_many(rows, scores, vectors, wanted_B=[4] * 33, how=Diversity(0.5))
    np.testing.assert_array_equal(whole, cut)


def test_each_user_gets_as_many_as_wanted() -> None:
    vectors = np.eye(4, dtype=np.float32)
    rows = np.array([[0, 1, 2, 3]] * 3, np.int32)
    scores = np.array([[4, 3, 2, 1]] * 3, np.float32)
    for mmr_lambda in (0.5, 1.0):
        picked, _ = diversify_many(
            rows, scores, vectors, wanted_B=[1, 3, 9], how=Diversity(mmr_lambda)
        )
        assert picked.tolist() == [[0, -1, -1, -1], [0, 1, 2, -1], [0, 1, 2, 3]]


def test_one_hopeless_candidate_changes_nothing() -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(size=(31, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.arange(31, dtype=np.int32)[None]
    scores = np.linspace(3, 0, 31, dtype=np.float32)[None]
    plain, _ = diversify_many(rows, scores, vectors, wanted_B=[5], how=Diversity(0.8))
    scores[0, -1] = -1e6
    hopeless, _ = diversify_many(rows, scores, vectors, wanted_B=[5], how=Diversity(0.8))
    assert plain.tolist() == hopeless.tolist()


def colours() -> Catalog:
    """Three colours of one pot, two kettles, a bike; the vectors say that nothing is alike."""
    catalog = Catalog(6)
    titles = ("Tea pot red", "Tea pot, dark blue", "Tea pot green XL", "Kettle", "Jug", "Bike")
    catalog.upsert(
        [
            ItemVector(
                item_id=title,
                title=title,
                vector=np.eye(6, dtype="<f2")[n].tobytes(),
                encoder="",
                text_hash="",
                first_seen_ms=0,
                category=("Bikes",) if title == "Bike" else ("Kitchen",),
            )
            for n, title in enumerate(titles)
        ]
    )
    return catalog


def list_of(k: int, cap: int = 0, once: bool = True) -> list[int]:
    catalog = colours()
    rows, scores = np.array([[0, 1, 2, 3, 4, 5, -1]], np.int32), np.arange(7, 0, -1.0)[None]
    how = Diversity(1.0, 2.0, Alike(catalog).codes(), cap, once)
    made, _ = diversify_many(
        rows, scores.astype(np.float32), catalog.vectors, wanted_B=[k], how=how
    )
    return [row for row in made[0].tolist() if row >= 0]


def test_a_list_holds_a_product_in_one_colour_as_long_as_there_are_others() -> None:
    assert list_of(4) == [0, 3, 4, 5]
    assert list_of(6) == [0, 3, 4, 5, 1, 2]
    assert list_of(3, once=False) == [0, 1, 2]


def test_a_category_has_so_many_places_as_long_as_there_are_others() -> None:
    assert list_of(4, cap=2) == [0, 3, 5, 4]
    assert list_of(3, cap=1, once=False) == [0, 5, 1]
