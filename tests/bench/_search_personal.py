"""What a profile adds to search: what was bought next, after a query of words of its title.

A log is played: each micro-batch is first asked about, then learnt. Of some events a query is made
of drawn words of the item's title: one, two, or (a known item) four. It is searched twice: by who
did it, and by nobody; each side has a head of its own, which learns from what was meant. The first
half of the log is played without counting. Nobody knows what real shoppers would have typed: the
queries are what is made up here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.drift_river import PageHinkleyDetector
from features.interest import InterestConfig, ItemSpace
from features.profile import InterestModel, Place, apply, features
from features.profile_state import Profile
from features.store import UserFeatures
from infra.bench.bar import Bar
from infra.bench.learn_shop import Words
from infra.scorer_models import VersionedScorer
from learner.config import LearnerConfig
from learner.drift_river import default_detectors
from learner.evaluation_learner import without_transformer
from learner.online import OnlineLearner
from learner.scorer import Scorer
from learner.search.fusion import SearchHead
from serving.ask import Ask as ListAsk
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.recommend import Recommender
from serving.search.engine import Ask, Engine
from stream.clock import ManualClock
from stream.events import Event, Example, Item
from tests.bench._search_shops import engine_on, stocked
from tests.bench.shop import shop_log

BATCH = 32
EVERY = 6
"""One of so many events is asked about."""

LISTED = 50
WARM = 5
"""Events from which a user counts as known."""

WORDS = {"broad": (1, 2), "known item": (4, 6)}


class Asked(NamedTuple):
    """One query, and what both sides made of it."""

    kind: str
    events: int
    with_profile: float
    without: float


def personal(folder: Path | None, events: int) -> Iterator[Bar]:
    """The simulated shop, and `uci_online_retail` where it is there."""
    log, shop = shop_log(1, events)
    yield from bars("simulated shop", played(log, shop.items()))
    if folder is not None:
        log, items = retail(folder, events)
        yield from bars("uci_online_retail", played(log, items))


def retail(folder: Path, events: int) -> tuple[list[Event], list[Item]]:
    """The last purchases of the log, in order, and all items."""
    import pandas as pd  # noqa: PLC0415 - only for this

    where = folder / "uci_online_retail"
    items = pd.read_parquet(where / "items.parquet")
    rows = pd.read_parquet(where / "events.parquet", columns=["ts_ms", "user_id", "item_id"])
    log = [
        Event(
            event_id=f"e{number}",
            user_id=row.user_id,
            item_id=row.item_id,
            kind="purchase",
            ts_ms=int(row.ts_ms),
            source=f"purchases-0-{number}",
            received_ms=int(row.ts_ms),
        )
        for number, row in enumerate(rows.iloc[-events:].itertuples())
    ]
    sold = [
        Item(item_id=row.item_id, title=row.title or "", price=float(row.price))
        for row in items.itertuples()
    ]
    return log, sold


def played(log: Sequence[Event], items: Sequence[Item]) -> list[Asked]:
    """Play a log, and ask on its second half."""
    catalog = stocked(items, Words())
    learner = OnlineLearner(
        catalog, without_transformer(LearnerConfig(threads=1)), default_detectors()
    )
    own, nobody = (engine_on(catalog, Words(), head=SearchHead()) for _ in range(2))
    index = ItemIndex(catalog)
    index.upsert([catalog.item(row) for row in range(len(catalog))])
    clock = ManualClock(log[-1].ts_ms)
    recommender = Recommender(
        index, VersionedScorer(Scorer(learner.ranker), 1, 0), ServingConfig(), clock
    )
    model = InterestModel(
        ItemSpace(catalog), PageHinkleyDetector(InterestConfig()), InterestConfig()
    )
    profiles: dict[str, Profile] = {}
    chance = random.Random(3)
    asked: list[Asked] = []
    for start in range(0, len(log), BATCH):
        batch = log[start : start + BATCH]
        examples: list[Example] = []
        for number, event in enumerate(batch, start):
            profile = profiles.get(event.user_id)
            if catalog.row(event.item_id) >= 0 and number % EVERY == 0:
                user = None if profile is None else features(event.user_id, profile)
                one = search_twice(event, user, (own, nobody), recommender, chance)
                if one is not None and start > len(log) / 2:
                    asked.append(one)
            applied = apply(profile or Profile(), event, Place(0, number), model)
            profiles[event.user_id] = applied.profile
            if applied.example is not None:
                examples.append(applied.example)
        learner.learn_many(examples)
    return asked


def search_twice(
    event: Event,
    user: UserFeatures | None,
    sides: tuple[Engine, Engine],
    recommender: Recommender,
    chance: random.Random,
) -> Asked | None:
    """Search for an event's item as its user and as nobody; then both heads learn."""
    catalog = sides[0].catalog
    row = catalog.row(event.item_id)
    kind = chance.choice(("broad", "broad", "known item"))
    words = catalog.item(row).title.split()
    count = min(len(words), chance.choice(WORDS[kind]))
    if not words:
        return None
    query = " ".join(chance.sample(words, count))
    worth = []
    for engine, who in zip(sides, (user, None), strict=True):
        list_ask = ListAsk(recommendation_id="", user_id=event.user_id, k=LISTED)
        found = engine.find(
            Ask(query, LISTED),
            who,
            lambda rows, who=who, ask=list_ask: recommender.scores_of(ask, who, rows),
        )
        places = np.flatnonzero(found.rows == row)
        place = int(places[0]) if len(places) else LISTED
        worth.append(1 / np.log2(place + 2) if place < 10 else 0.0)  # noqa: PLR2004 - NDCG@10
        if place < LISTED:
            engine.head.learn(
                found.described.astype(np.float64),
                [place],
                found.kind,
                found.visitor,
                by_place=False,
            )
    return Asked(kind, user.events if user else 0, worth[0], worth[1])


def bars(name: str, asked: Sequence[Asked]) -> Iterator[Bar]:
    """Known users' broad queries gain, cold users and known items lose nothing."""
    of: tuple[tuple[str, Callable[[Asked], bool], float], ...] = (
        ("users with 5 events", lambda one: one.kind == "broad" and one.events >= WARM, 1.05),
        ("cold users", lambda one: one.events == 0, 0.995),
        ("known items", lambda one: one.kind == "known item" and one.events >= WARM, 0.995),
    )
    for who, belongs, bar in of:
        chosen = [one for one in asked if belongs(one)]
        if not chosen:
            continue
        mine = float(np.mean([one.with_profile for one in chosen]))
        plain = float(np.mean([one.without for one in chosen]))
        yield Bar(
            name=f"search/personal, {name}, {who}",
            value=mine,
            unit="NDCG@10",
            against={"without profile": plain, "queries": float(len(chosen))},
            ratio=mine / plain,
            bar=f"≥ {bar:g} × without profile",
            holds=mine >= bar * plain,
        )
