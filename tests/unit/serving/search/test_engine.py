"""What a shopper finds."""

from __future__ import annotations

import pytest

from serving.search.engine import Ask, Engine, Ordered
from stream.events import Filters
from tests.unit.serving.search.shop import STOCK, engine, item


def ids(made: Engine, found: Ordered) -> list[str]:
    return [made.catalog.item(row).item_id for row in found.rows.tolist()]


def search(query: str, k: int = 10, **more: object) -> list[str]:
    made = engine()
    return ids(made, made.find(Ask(query, k, **more)))  # type: ignore[arg-type]


def test_all_words_come_before_some() -> None:
    assert search("steel kettle")[0] == "k1"


def test_a_typo_is_found_and_said() -> None:
    made = engine()
    found = made.find(Ask("wirless hedphones", 5))
    assert ids(made, found) == ["s1"]
    assert (found.query, found.corrected_from) == ("wireless headphones", "wirless hedphones")


def test_what_the_shop_has_is_never_corrected() -> None:
    made = engine([*STOCK, item("h2", "Hamer brush"), item("h3", "Hammer stand")])
    found = made.find(Ask("hamer", 5))
    assert (ids(made, found), found.corrected_from) == (["h2"], None)


@pytest.mark.parametrize("query", ["dx-220b", "DX220B", "drill DX 220B"])
def test_a_model_code_finds_its_model_first(query: str) -> None:
    assert search(query)[0] == "d1"


def test_a_wrong_code_is_not_corrected_into_another_model() -> None:
    made = engine()
    assert made.find(Ask("DX-999X", 5)).corrected_from is None


@pytest.mark.parametrize("query", ["茶壶", "红茶", "茶"])
def test_chinese_is_found_by_part(query: str) -> None:
    assert search(query) == ["t1"]


def test_a_number_of_an_attribute_is_found_as_it_stands_in_the_record() -> None:
    made = engine((item("a", "Valve", attributes={"part number": 1_234_567.0}),))
    assert ids(made, made.find(Ask("1234567", 5))) == ["a"]


def test_an_attribute_is_found() -> None:
    assert search("noise cancelling") == ["s1"]


@pytest.mark.parametrize(
    "query",
    [
        'title:"kettle" AND (',
        "kettle OR *:* -steel",
        "kettle~2 [* TO *]",
        "row:0 kettle",
        "/ke.*/ kettle",
        "kettle\\ ^9 && || !",
        "available:0 kettle",
    ],
)
def test_what_looks_like_syntax_is_words(query: str) -> None:
    """Nobody can ask for what a query language could: only kettles have that word."""
    found = search(query)
    assert set(found) >= {"k1", "k2"}
    assert not {"o1", "h1", "t1"} & set(found)


def test_filters_hold() -> None:
    assert search("drill", filters=Filters(brand="acme")) == ["d2"]
    assert search("kettle", filters=Filters(price_min=40)) == ["k2"]
    assert search("kettle", filters=Filters(category="kitchen > kettles", price_max=40)) == ["k1"]
    assert search("kettle", filters=Filters(category="Tools")) == []


def test_sold_out_is_found_on_demand() -> None:
    assert search("lamp") == []
    assert search("lamp", filters=Filters(available=False)) == ["o1"]


def test_a_deleted_item_is_gone_and_comes_back() -> None:
    made = engine()
    made.catalog.delete(["k1"])
    made.follow()
    assert ids(made, made.find(Ask("kettle", 5))) == ["k2"]
    assert ids(made, made.find(Ask("kettle", 5, Filters(available=False)))) == ["k2"]
    made.catalog.upsert([STOCK[0]])
    made.follow()
    assert set(ids(made, made.find(Ask("kettle", 5)))) == {"k1", "k2"}


def test_a_changed_item_is_found_by_its_new_words_only() -> None:
    made = engine()
    made.catalog.upsert([item("k1", "Copper samovar")])
    made.follow()
    assert ids(made, made.find(Ask("samovar", 5))) == ["k1"]
    assert ids(made, made.find(Ask("kettle", 5))) == ["k2"]


def test_orders_and_pages() -> None:
    assert search("drill", sort="price") == ["d2", "d1"]
    assert search("drill", sort="price_down") == ["d1", "d2"]
    every = search("kettle")
    assert [search("kettle", 1, offset=at)[0] for at in range(2)] == every
    assert search("kettle", 5, offset=2) == []


def test_orders_and_facets_find_what_relevance_does_where_no_item_that_passes_has_all_words() -> (
    None
):
    made, bolt = engine(), Filters(brand="Bolt")
    assert search("steel kettle", filters=bolt) == ["k2"]  # k1 has both words, and is Acme's
    assert search("steel kettle", sort="price", filters=bolt) == ["k2"]
    assert dict(made.facets("steel kettle", bolt)["category"]) == {"Kitchen > Kettles": 1}


def test_newest_first() -> None:
    made = engine([item(f"p{age}", "Plain pot", first_seen_ms=age) for age in (1, 3, 2)])
    assert ids(made, made.find(Ask("pot", 5, sort="newest"))) == ["p3", "p2", "p1"]


def test_facets_count_what_was_found() -> None:
    made = engine()
    facets = made.facets("drill", Filters())
    assert dict(facets["brand"]) == {"Acme": 1, "Bolt": 1}
    assert dict(facets["category"]) == {"Tools > Drills": 2}
    assert dict(made.facets("drill", Filters(brand="Acme"))["brand"]) == {"Acme": 1}


def test_meaning_finds_what_no_word_does() -> None:
    made = engine(meaning=True)
    found = ids(made, made.find(Ask("kettle", 3)))
    assert set(found[:2]) == {"k1", "k2"}
    assert found[2] == "b1"


def test_meaning_keeps_to_filters() -> None:
    made = engine(meaning=True)
    filters = Filters(category="Tools")
    mask = made.catalog.available.copy()
    mask[:] = False
    mask[[3, 4, 5]] = True
    found = made.find(Ask("kettle", 10, filters), mask=mask)
    assert set(ids(made, found)) <= {"h1", "d1", "d2"}


@pytest.mark.parametrize("query", ["", " ", "!!!", "\u0000", "zzzqqq"])
def test_nothing_is_found_for_nothing(query: str) -> None:
    assert search(query) == []


def test_a_long_query_is_answered() -> None:
    assert search("kettle " * 300)[:1]


def test_completions_are_of_the_catalogue() -> None:
    made = engine()
    assert made.suggester.complete("cord", 3, None) == ["cordless", "cordless drill"]
    assert made.suggester.complete("  ", 3, None) == []


def test_a_large_change_is_taken_in_by_slices() -> None:
    made = engine([item(f"p{n}", "Plain pot") for n in range(200)])
    made.catalog.upsert([item(f"q{n}", "Plain pan") for n in range(200)])
    assert made.follow(budget_s=0.0) > 0
    while made.follow(budget_s=0.0):
        pass
    assert made.find(Ask("pan", 5)).total == 200
