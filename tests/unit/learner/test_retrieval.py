"""The highest of many scores are exactly found; the nearest texts nearly always."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from features.catalog import Catalog
from learner.retrieval import ShortTexts, tops
from learner.tower import ItemTower
from stream.events import ItemVector


@pytest.mark.parametrize("items", [1, 7, 500, 4_001, 30_000])
def test_tops_are_those_of_a_full_sort(items: int) -> None:
    score = torch.randn(3, items, generator=torch.Generator().manual_seed(items))
    wanted = score.sort(dim=1, descending=True).indices[:, :25]
    assert torch.equal(tops(score, 25).sort().values, wanted.sort().values)


def test_what_is_shut_is_left_out_and_scores_stay_as_they_were() -> None:
    score = torch.arange(9_000.0).repeat(2, 1)
    shut = torch.tensor([8_999, 8_997])
    found = tops(score, 3, shut)
    assert found.sort().values.tolist() == [[8_995, 8_996, 8_998]] * 2
    assert torch.equal(score, torch.arange(9_000.0).repeat(2, 1))


def texts(items: int, width: int = 128) -> torch.Tensor:
    """Texts whose directions matter less and less, as those of an encoder do."""
    generator = torch.Generator().manual_seed(3)
    fading = torch.arange(1, width + 1) ** -0.5
    return torch.nn.functional.normalize(torch.randn(items, width, generator=generator) * fading)


def test_nearly_all_of_the_nearest_are_found() -> None:
    text_IE = texts(6_000)
    short = ShortTexts()
    short.follow(text_IE, np.arange(6_000))
    pooled_BE = text_IE[:20]
    found_BC = short.nearest(pooled_BE, text_IE, 40)
    wanted_BC = (pooled_BE @ text_IE.T).topk(40).indices
    same = [
        len(set(a) & set(b)) for a, b in zip(found_BC.tolist(), wanted_BC.tolist(), strict=True)
    ]
    assert sum(same) >= 0.95 * 20 * 40


def test_new_and_changed_texts_are_found() -> None:
    text_IE = texts(5_000)
    short = ShortTexts()
    short.follow(text_IE[:4_000].contiguous(), np.arange(4_000))
    text_IE[17] = text_IE[4_500]
    short.follow(text_IE, np.array([17, *range(4_000, 5_000)]))
    assert {17, 4_500} <= set(short.nearest(text_IE[4_500:4_501], text_IE, 5)[0].tolist())


def test_a_tower_follows_items_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("learner.tower.SHORT_FROM", 50)
    vectors = texts(120, 32).numpy().astype("<f2")
    catalog = Catalog(width=32)

    def add(start: int, stop: int) -> None:
        catalog.upsert(
            [
                ItemVector(
                    item_id=str(n),
                    vector=vectors[n].tobytes(),
                    encoder="",
                    text_hash="",
                    first_seen_ms=0,
                )
                for n in range(start, stop)
            ]
        )

    add(0, 60)
    tower = ItemTower(catalog, torch.device("cpu"))
    first = torch.from_numpy(vectors[:1].astype(np.float32))
    assert 0 in tower.nearest(first, 5)[0].tolist()
    for n in range(60, 120):
        add(n, n + 1)
        own = torch.from_numpy(vectors[n : n + 1].astype(np.float32))
        assert n in tower.nearest(own, 5)[0].tolist()
