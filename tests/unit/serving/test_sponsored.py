"""Ads in lists: where they stand, what is said of them, and what the books hold."""

from __future__ import annotations

import msgspec
import pytest

from features.catalog import Catalog
from features.store import MemoryStore
from infra.settings import Settings
from serving.ads import DAY_MS
from serving.answer import Answerer
from serving.ask import Ask
from serving.calibrated import Clicks
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.recommend import Recommender
from serving.sponsored import Sponsored
from stream.clock import ManualClock
from stream.events import Recommendation, decode_ad_spend
from stream.topics import Topics
from tests.unit.serving.shop import PLAIN, PlainRanker, item, shelf, user

NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
CONFIG = msgspec.structs.replace(PLAIN, ads=True, ad_places=(2, 5), ad_reserve=0.001)


class Shop:
    """A shop with three ads, and who makes its lists."""

    def __init__(self, config: ServingConfig = CONFIG) -> None:
        self.clock = ManualClock(NOON_MS)
        index = ItemIndex(Catalog(width=2))
        index.upsert(shelf())
        for name, bid, budget in (("soap", 3.0, 100.0), ("comb", 2.0, 0.0), ("brush", 1.0, None)):
            index.upsert([item(name, "Bath", 0.1, kind="ad", bid=bid, budget=budget)])
        index.upsert([item("unpaid", "Bath", 0.1, kind="ad")])
        self.recommender = Recommender(index, PlainRanker(index.catalog), config, self.clock)
        self.sponsored = Sponsored(index, config, Clicks(), self.clock, "")
        self.recommender.sponsored = self.sponsored

    def list_for(self, user_id: str = "ann", k: int = 6, n: int = 1, **more: str) -> Recommendation:
        ask = Ask(
            recommendation_id=f"tidemill.requests-3-{n}",
            request_id=f"r-{n}",
            user_id=user_id,
            k=k,
            surface=more.get("surface", "home"),
            personal="plain" not in more,
        )
        [answer] = self.recommender.answer_many([ask], [user(user_id, ("assam", "view"))])
        return answer


def test_ads_stand_in_their_places_and_the_list_keeps_its_length() -> None:
    shown = Shop().list_for().items
    assert len(shown) == 6
    soap, brush = shown[1], shown[4]
    assert (soap.item_id, brush.item_id) == ("soap", "brush")
    assert soap.ad
    assert brush.ad
    assert soap.reason == "Advertisement"
    # A second price: what the next one would have been worth in that place.
    assert brush.ad.price <= soap.ad.price <= soap.ad.probability * 3.0
    assert not any(one.ad for one in shown if one.item_id not in {"soap", "brush"})


def test_the_surface_ads_shows_ads_alone_and_nothing_that_nobody_pays_for() -> None:
    shop = Shop()
    assert [one.item_id for one in shop.list_for(surface="ads").items] == ["soap", "brush"]
    assert not any(one.ad for one in shop.list_for(n=2, surface="content").items)
    shop.recommender.sponsored = None
    assert shop.list_for(n=3, surface="ads").items == ()


def test_a_pushed_list_has_no_ads() -> None:
    shop = Shop()
    ask = Ask(recommendation_id="tidemill.events-3-1", user_id="ann", k=6, surface="push")
    [answer] = shop.recommender.answer_many([ask], [None])
    assert not any(one.ad for one in answer.items)


def test_a_user_of_a_plain_variant_sees_an_ad_no_more_often_than_others() -> None:
    shop = Shop(msgspec.structs.replace(CONFIG, ads_per_user=1))
    assert any(one.ad for one in shop.list_for(plain="yes").items)
    assert not any(one.ad for one in shop.list_for(plain="yes", n=2).items)


def test_the_books_hold_what_is_out_and_the_next_owner_goes_on() -> None:
    shop = Shop()
    price = sum(one.ad.price for one in shop.list_for().items if one.ad)
    said = [decode_ad_spend(record.value or b"") for record in shop.sponsored.spent()]
    assert {(one.partition, one.day) for one in said} == {(3, 20_000)}
    assert sum(one.spent for one in said) == pytest.approx(price)
    shop.sponsored.out()
    assert not shop.sponsored.spent()
    other = Shop()
    for one in said:
        other.sponsored.hear(one)
    other.list_for(n=2)
    later = {record.key: decode_ad_spend(record.value or b"") for record in other.sponsored.spent()}
    assert later[b"3/soap"].spent > next(one.spent for one in said if one.item_id == "soap")


def test_ads_of_a_list_that_is_given_up_cost_nothing() -> None:
    shop = Shop()
    shop.list_for()
    shop.sponsored.give_up()
    assert not shop.sponsored.spent()
    assert shop.sponsored.desk.ledger.spent("soap", NOON_MS) == 0.0


def test_what_who_leaves_was_shown_is_forgotten() -> None:
    shop = Shop(msgspec.structs.replace(CONFIG, ads_per_user=1))
    shop.list_for("ann")
    shop.list_for("bob", n=2)
    answerer = Answerer(MemoryStore(), shop.recommender, CONFIG, Topics(""), shop.clock)
    answerer.forgotten.add("ann", NOON_MS, partition=0, offset=0)
    answerer.forget()
    caps = shop.sponsored.desk.caps
    assert [caps.allows(user_id, "soap", NOON_MS) for user_id in ("ann", "bob")] == [True, False]


def test_the_settings_name_places() -> None:
    settings = Settings.load(environ={}, assignments=["serving.ad_places=[3, 8]"])
    assert settings.section(ServingConfig).ad_places == (3, 8)
