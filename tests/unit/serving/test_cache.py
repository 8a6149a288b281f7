"""Lists that are given again: never one that something has changed since, and not for long."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from features.store import UserFeatures
from serving.ask import Ask
from serving.config import ServingConfig
from serving.recommend import Recommender
from stream.clock import ManualClock
from stream.events import Filters, Recommendation
from stream.metrics import LISTS_REUSED
from tests.unit.serving.shop import NOW_MS, PLAIN, TOOLS, PlainRanker, item, stocked, user

CACHED = msgspec.structs.replace(PLAIN, cache_s=5.0, explore_share=0.0)


class Shop:
    """A recommender with a cache, and how often it has made a list."""

    def __init__(self, config: ServingConfig = CACHED) -> None:
        self.clock = ManualClock(NOW_MS)
        self.index = stocked()
        self.ranker = PlainRanker(self.index.catalog)
        self.recommender = Recommender(self.index, self.ranker, config, self.clock)
        self.asked = 0

    def ask(self, user: UserFeatures | None, name: str = "ann", **more: object) -> Recommendation:
        self.asked += 1
        ask = Ask(recommendation_id=f"r-{self.asked}", request_id="q", user_id=name, k=4)
        ask = msgspec.structs.replace(ask, **more)
        return self.recommender.answer_many([ask], [user])[0]

    @property
    def made(self) -> int:
        return len(self.ranker.asked_ms)


def test_an_equal_request_gets_the_same_list_under_its_own_name() -> None:
    shop, ann = Shop(), user("ann", ("drill", "view"))
    before = _value("reused")
    first, second = shop.ask(ann), shop.ask(ann)
    assert shop.made == 1 and _value("reused") == before + 1
    assert first.items == second.items and second.recommendation_id == "r-2"
    assert second.seen_event_id == "ann-1"


def test_what_is_asked_otherwise_is_made() -> None:
    shop, ann = Shop(), user("ann", ("drill", "view"))
    shop.ask(ann)
    shop.ask(ann, k=3)
    shop.ask(ann, filters=Filters(category="Tea"))
    shop.ask(ann, context_item="axe")
    shop.ask(ann, surface="cart")
    shop.ask(user("bob", ("drill", "view")), "bob")
    assert shop.made == 6


def test_users_of_whom_nothing_is_known_share_a_list_for_some_seconds() -> None:
    shop = Shop()
    shop.ask(None, "ann")
    assert shop.ask(None, "bob").user_id == "bob" and shop.made == 1
    shop.clock.advance(5.1)
    shop.ask(None, "cy")
    assert shop.made == 2


def test_nothing_of_a_user_is_kept_longer_than_lists_are() -> None:
    shop = Shop()
    shop.ask(user("ann", ("drill", "view")))
    shop.clock.advance(5.1)
    shop.ask(None, "bob")
    cache = shop.recommender._cache
    assert cache is not None and len(cache) == 1


def test_so_many_lists_are_kept_and_no_more() -> None:
    shop = Shop(msgspec.structs.replace(CACHED, cache_lists=3))
    for name in "abcdef":
        shop.ask(user(name, ("drill", "view")), name)
    cache = shop.recommender._cache
    assert cache is not None and len(cache) == 3


def test_it_is_off_unless_asked_for() -> None:
    assert ServingConfig().cache_s == 0
    shop = Shop(PLAIN)
    shop.ask(None)
    shop.ask(None)
    assert shop.made == 2


STEPS = st.sampled_from(["ask", "ask", "ask", "event", "reading", "price", "gone", "model", "time"])


@given(st.lists(STEPS, max_size=30))
@settings(max_examples=40, deadline=None)
def test_no_list_outlives_what_changes_it(steps: list[str]) -> None:
    cached, plain = Shop(), Shop(msgspec.structs.replace(CACHED, cache_s=0.0))
    done = [("drill", "view")]
    ann = user("ann", *done)  # type: ignore[arg-type]
    gone = 0
    for n, step in enumerate(steps):
        for shop in (cached, plain):
            match step:
                case "price":
                    shop.index.upsert([item("axe", "Tools", 1.5, price=float(n + 1))])
                case "gone":
                    shop.index.upsert([item(TOOLS[gone % 6], "Tools", 1.5, available=False)])
                case "model":
                    shop.ranker = PlainRanker(shop.index.catalog, version=n)
                    shop.recommender.ranker = shop.ranker
                case "time":
                    shop.clock.advance(0.4)
        if step == "event":
            done.append((("chai", "axe", "file")[n % 3], "view"))
            ann = user("ann", *done)  # type: ignore[arg-type]
        if step == "reading":  # nothing but a rating has changed
            ratings = (float(n % 5 + 1), *ann.recent_ratings[1:])
            ann = msgspec.structs.replace(ann, recent_ratings=ratings)
        gone += step == "gone"
        got, wanted = cached.ask(ann), plain.ask(ann)
        assert got.items == wanted.items and got.model_version == wanted.model_version
        assert got.seen_event_id == wanted.seen_event_id


def _value(outcome: str) -> float:
    return float(LISTS_REUSED.labels(outcome=outcome)._value.get())
