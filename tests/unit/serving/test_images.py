"""With the text taken away, lists still follow what items look like: vectors of known answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from features.catalog import Catalog
from infra.scorer_models import ScorerModels
from learner.catalogue import encode_items
from learner.config import LearnerConfig
from serving.ask import Ask
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.recommend import Recommender
from stream.clock import ManualClock
from stream.events import Item
from tests.unit.serving.shop import NOW_MS, user

LOOKS, OF_EACH, WIDTH = 4, 12, 256


class NoWords:
    """A text encoder that is never given a text."""

    name = "no words"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        assert not any(texts)
        return np.zeros((len(texts), WIDTH), np.float16)


def pictures(size: int, seed: int = 4) -> list[Item]:
    """Items without a word: each looks like the others of its kind, `look-n`, and less like all."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(LOOKS, size))
    items = []
    for n in rng.permutation(LOOKS * OF_EACH).tolist():
        vector = centres[n % LOOKS] + 0.6 * rng.normal(size=size)
        items.append(Item(item_id=f"look-{n % LOOKS}-{n}", image_vector=tuple(vector.tolist())))
    return items


def shop(items: Sequence[Item]) -> Recommender:
    index = ItemIndex(Catalog(WIDTH))
    for part in encode_items(items, NoWords(), lambda _: None, NOW_MS - 90 * 86_400_000):
        index.upsert(part)
    scorer = ScorerModels(LearnerConfig(device="cpu")).untrained(index.catalog)
    config = ServingConfig(mmr_lambda=1.0, near_duplicate=2.0, explore_share=0.0)
    return Recommender(index, scorer, config, ManualClock(NOW_MS))


@pytest.mark.parametrize("size", [32, 512, 2_048])
def test_a_list_follows_what_was_looked_at_by_images_alone(size: int) -> None:
    items = pictures(size)
    recommender = shop(items)
    right = 0
    for look in range(LOOKS):
        liked = [item.item_id for item in items if item.item_id.startswith(f"look-{look}")][:3]
        ask = Ask(recommendation_id="r-0-1", user_id="ann", k=12)
        [answer] = recommender.answer_many([ask], [user("ann", *((one, "view") for one in liked))])
        right += sum(one.item_id.startswith(f"look-{look}-") for one in answer.items)
    assert right >= 0.95 * LOOKS * OF_EACH  # by chance a quarter


def test_without_images_nothing_is_known_of_such_items() -> None:
    bare = [Item(item_id=item.item_id) for item in pictures(32)]
    catalog = shop(bare).index.catalog
    assert not catalog.vectors.any()
