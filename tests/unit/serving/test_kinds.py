"""Products, content and ads: each on its own surfaces."""

from __future__ import annotations

import msgspec

from features.catalog import Catalog
from learner.catalogue import describe_item
from serving.ask import Ask
from serving.index import ItemIndex
from serving.recommend import Recommender
from stream.clock import ManualClock
from stream.events import Filters, Item, ItemKind
from tests.unit.serving.shop import NOW_MS, PLAIN, PlainRanker, item, shelf, user


def stocked() -> ItemIndex:
    index = ItemIndex(Catalog(width=2))
    index.upsert(shelf())
    index.upsert([item("brewing", "Tea", 0.1, kind="content", price=None)])
    index.upsert([item("soap", "Soap", 0.1, kind="ad", bid=2.0, budget=10.0)])
    return index


def shown(index: ItemIndex, surface: str, filters: Filters | None = None) -> set[str]:
    ranker = PlainRanker(index.catalog)
    recommender = Recommender(index, ranker, PLAIN, ManualClock(NOW_MS))
    ask = Ask(
        recommendation_id="r-0-1",
        user_id="ann",
        k=20,
        surface=surface,
        filters=filters or Filters(),
    )
    [answer] = recommender.answer_many([ask], [user("ann", ("assam", "view"))])
    plain = recommender.answer_plainly(ask, None)
    assert {one.item_id for one in plain.items} == {one.item_id for one in answer.items}
    return {one.item_id for one in answer.items}


def test_content_is_shown_on_its_surface_alone() -> None:
    index = stocked()
    assert shown(index, "content") == {"brewing"}
    assert shown(index, "home") == {one.item_id for one in shelf()}
    assert shown(index, "content", Filters(category="tools")) == set()
    assert shown(index, "home", Filters(category="tea")) == {
        one.item_id for one in shelf() if "Tea" in one.category
    }


def test_nothing_stands_unsold_where_every_place_is_for_sale() -> None:
    assert shown(stocked(), "ads") == set()


def test_an_item_may_become_another_kind() -> None:
    index = stocked()
    product = msgspec.structs.replace(index.catalog.item(index.catalog.row("brewing")))
    kind: ItemKind = "product"
    index.upsert([msgspec.structs.replace(product, kind=kind)])
    assert shown(index, "content") == set()
    assert "brewing" in shown(index, "home")


def test_a_catalogue_of_products_needs_no_mask() -> None:
    index = ItemIndex(Catalog(width=2))
    index.upsert(shelf())
    assert index.mask(Filters()) is None


def test_what_an_ad_is_goes_with_its_vector() -> None:
    ad = Item(item_id="soap", title="Soap", kind="ad", bid=2.0, budget=10.0, gtin="4006381333931")
    known = describe_item(ad, "test", None, 0)
    assert (known.kind, known.bid, known.budget, known.gtin) == ("ad", 2.0, 10.0, ad.gtin)
