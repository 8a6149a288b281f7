"""A simulated shop with a learner that followed it, and the moments after: what serving would rank.

Texts are sums of drawn vectors of their words: no encoder is loaded.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from features.catalog import Catalog
from infra.bench.learn_shop import WIDTH, Words
from learner.catalogue import catalogue_of
from learner.config import LearnerConfig
from learner.drift_river import default_detectors
from learner.evaluation_log import examples_of
from learner.online import OnlineLearner
from learner.scorer import Scorer
from learner.state import save_learner
from stream.events import Example
from stream.shop import Shop, ShopConfig

LEARNT_SHARE = 0.8
LEAST_STEPS = 5
"""Of a history: with less there is nothing to choose from."""


class ServedShop(NamedTuple):
    """A version, its catalogue, and what users did after it, each with their history."""

    scorer: Scorer
    catalog: Catalog
    moments: list[Example]


def served_shop(events: int, seed: int = 1, shoppers: int = 150) -> ServedShop:
    """Learn the first events of a shop; the others are the moments."""
    shop = Shop(seed, ShopConfig(shoppers=shoppers))
    log = list(examples_of(shop.clean_events(events)))
    sold = [msgspec.structs.replace(item, available=True) for item in shop.items()]
    catalog = catalogue_of(sold, Words(WIDTH), WIDTH)
    learner = OnlineLearner(catalog, LearnerConfig(device="cpu", seed=seed), default_detectors())
    learnt = round(LEARNT_SHARE * events)
    for start in range(0, learnt, 64):
        learner.learn_many(log[start : min(start + 64, learnt)])
    moments = [moment for moment in log[learnt:] if len(moment.history) >= LEAST_STEPS]
    return ServedShop(Scorer.of_version(save_learner(learner), catalog, "cpu"), catalog, moments)
