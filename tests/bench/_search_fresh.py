"""Whether a search sent right after a user's event was stored sees it, in the real store."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from features.catalog import Catalog
from features.store import UserFeatures
from features.store_config import StoreConfig
from features.store_feast import FeastStore
from infra.bench.bar import Bar
from infra.scorer_models import VersionedScorer
from learner.config import LearnerConfig
from learner.scorer import Scorer
from serving.answer import Answerer, Taken
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.recommend import Recommender
from serving.search.answers import SearchAnswers
from serving.search.config import SearchConfig
from stream.batching import PlainRecord
from stream.clock import SystemClock
from stream.events import decode_recommendation
from stream.topics import Topics
from tests.bench._search_shops import engine_on, made_up

ITEMS, USERS = 2_000, 50


def fresh(tries: int = 1_000) -> Iterator[Bar]:
    """An event of a user is stored, and they search at once; so many times."""
    config, clock, chance = ServingConfig(), SystemClock(), random.Random(4)
    catalog: Catalog = made_up(ITEMS)
    index = ItemIndex(catalog)
    index.upsert([catalog.item(row) for row in range(len(catalog))])
    live = VersionedScorer(Scorer.untrained(catalog, LearnerConfig()), 1, 0)
    recommender = Recommender(index, live, config, clock)
    searches = SearchAnswers(engine_on(catalog, None), recommender, SearchConfig())
    topics = Topics("bench.")
    knew = 0
    with TemporaryDirectory() as folder:
        store = FeastStore(StoreConfig(directory=str(Path(folder))))
        answerer = Answerer(store, recommender, config, topics, clock, searches={"": searches})
        for number in range(tries):
            user_id, seen = f"u{chance.randrange(USERS)}", catalog.item(chance.randrange(ITEMS))
            store.write([_row(user_id, seen.item_id, number, clock.now_ms())])
            value = {"request_id": f"r{number}", "user_id": user_id, "query": seen.title[:40]}
            record = PlainRecord(
                user_id.encode(), json.dumps(value).encode(), number, clock.now_ms()
            )
            replies = answerer.answer(answerer.take([Taken(topics.requests, 0, record)]))
            answer = decode_recommendation(replies.answers[0].value or b"")
            knew += answer.seen_event_id == f"e{number}"
        store.close()
    yield Bar(
        name="search/sees the event before it",
        value=float(knew),
        unit=f"of {tries:,}",
        bar="all",
        holds=knew == tries,
    )


def _row(user_id: str, item_id: str, number: int, now_ms: int) -> UserFeatures:
    return UserFeatures(
        user_id=user_id,
        updated_ms=now_ms,
        last_event_id=f"e{number}",
        recent_items=(item_id,),
        recent_kinds=("view",),
        recent_ts_ms=(now_ms,),
        recent_ratings=(0.0,),
        events=number + 1,
    )
