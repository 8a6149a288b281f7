"""The simulated shop in another language: other texts, the same happenings draw by draw."""

from __future__ import annotations

import hashlib
import re
from itertools import chain, islice
from typing import Any, cast, get_args

import msgspec
import pytest

from stream.batching import PlainRecord
from stream.events import Recommendation, RecommendedItem, decode_event, json_encode
from stream.parse import TopicKind, parse_event, parse_item
from stream.shop import WORDS, Shop, ShopConfig, ShopRecord
from stream.shop_shelves import BRANDS, SHELVES, STYLES
from stream.shop_words import Language, ShopWords
from stream.shop_words_en import ENGLISH
from stream.shop_words_zh import CHINESE

AS_IT_WAS = "f0ef84e4e1f11682fda27c4e2e02e3ebc5d45a24f38d50f60bc052b551ec9dbc"
"""SHA-256 of the English shop's catalogue and first 500 records: what seeds give must not change by
chance. It was taken before the shop knew other languages, and again with fields that came since."""

UNITS = re.compile(r"(?<=\d)W")
TEXTS = {"title", "description", "category", "brand", "text"}


def test_the_english_shop_is_what_it_was_byte_for_byte() -> None:
    shop, digest = Shop(7), hashlib.sha256()
    for record in chain(shop.item_records(), islice(shop.records(), 500)):
        digest.update(repr(tuple(record)).encode())
    assert digest.hexdigest() == AS_IT_WAS


def test_every_language_has_its_words() -> None:
    assert set(WORDS) == set(get_args(Language))


def shape(words: ShopWords) -> list[object]:
    """How many words there are in each place, and how many different ones."""
    groups: list[tuple[object, ...]] = [
        group for shelf in words.shelves for group in (*shelf.nouns, *shelf.styles)
    ]
    groups += [shelf.details for shelf in words.shelves]
    groups += [words.brands, tuple(shelf.path for shelf in words.shelves)]
    groups += [said[stars] for said in (words.praise, words.headlines) for stars in sorted(said)]
    return [
        [(len(group), len(set(group))) for group in groups],
        [(len(shelf.nouns), len(shelf.styles)) for shelf in words.shelves],
        [sorted(said) for said in (words.praise, words.headlines)],
    ]


@pytest.mark.parametrize("language", get_args(Language))
def test_each_language_has_as_many_words_in_every_place(language: Language) -> None:
    words = WORDS[language]
    assert shape(words) == shape(ENGLISH)
    assert len(words.shelves) == len(SHELVES)
    assert len(words.brands) == BRANDS
    assert {len(shelf.styles) for shelf in words.shelves} == {STYLES}
    # Departments part the shelves as they do for the shop, whatever they are called.
    pairs = {
        (shelf.department, said.path[0]) for shelf, said in zip(SHELVES, words.shelves, strict=True)
    }
    assert len(pairs) == len(set(dict(pairs).values())) == len({s.department for s in SHELVES})


@pytest.mark.parametrize("language", get_args(Language))
def test_the_words_of_a_style_stand_in_no_other_style_of_the_shelf(language: Language) -> None:
    for shelf in WORDS[language].shelves:
        for group in shelf.styles:
            others = " ".join(chain(*(words for words in shelf.styles if words is not group)))
            assert not [word for word in group if word in others]


def without_texts(record: ShopRecord) -> tuple[object, ...]:
    """The record, without what a shop says in its own language."""
    value: Any = record.value
    if record.label in ("item", "event", "duplicate"):
        fields = msgspec.json.decode(record.value or b"")
        value = {name: field for name, field in fields.items() if name not in TEXTS}
    return record._replace(value=value)


def play(language: Language) -> tuple[Shop, list[ShopRecord]]:
    """Let a busy shop with a season run, whose shoppers see what is recommended."""
    shop = Shop(3, ShopConfig(language=language, shift_after=5, season_at=1_500))
    records = shop.item_records()
    for step in range(4_000):
        records += shop.step()
        if step % 10 == 0:
            items = tuple(RecommendedItem(item_id=i.item_id, score=1.0) for i in shop.items()[:99])
            answer = Recommendation(
                recommendation_id=f"rec-{step}",
                request_id=None,
                user_id=f"shopper-{step % 300:04d}",
                ts_ms=0,
                items=items,
                path="model",
                model_version=1,
            )
            shop.see(answer)
    return shop, records


def test_the_same_seed_gives_the_same_events_but_for_their_texts() -> None:
    (english, ours), (chinese, theirs) = play("en"), play("zh")
    assert [without_texts(record) for record in theirs] == [without_texts(r) for r in ours]
    assert len(theirs) > 5_000
    assert [s._replace(from_category=(), to_category=()) for s in chinese.planted_shifts] == [
        s._replace(from_category=(), to_category=()) for s in english.planted_shifts
    ]
    path_of = dict(
        zip((s.path for s in ENGLISH.shelves), (s.path for s in CHINESE.shelves), strict=True)
    )
    assert len(english.planted_shifts) > 50
    for one, other in zip(english.planted_shifts, chinese.planted_shifts, strict=True):
        assert path_of[cast(tuple[str, str], one.to_category)] == other.to_category
    # And what differs does so everywhere.
    differ = [o.value != t.value for o, t in zip(ours, theirs, strict=True) if o.label == "item"]
    assert all(differ)


def test_the_chinese_catalogue_is_chinese_and_its_titles_are_unique() -> None:
    shop = Shop(4, ShopConfig(language="zh", items=2_000))
    items, titles = shop.items(), [item.title for item in Shop(4, ShopConfig(items=2_000)).items()]
    assert len({item.title for item in items}) == len(items)
    # Titles repeat where they do in English, and in no other place: the texts say as much.
    assert [bool(re.search(r"第\d+款$", item.title)) for item in items] == [
        bool(re.search(r" No\. \d+$", title)) for title in titles
    ]
    for item in items:
        assert len(item.category) == 2
        assert isinstance(item.price, float)
        assert item.brand in item.title
        said = (item.title, item.brand, item.description, *item.category)
        for text in said:
            plain = UNITS.sub("", text)
            assert not re.search(r"[A-Za-z\s]", plain), text
            assert re.search(r"[\u4e00-\u9fff]", plain), text


def test_chinese_records_come_through_whole() -> None:
    shop = Shop(6, ShopConfig(language="zh"))
    for record, item in zip(shop.item_records(), shop.items(), strict=True):
        parsed = parse_item(PlainRecord(record.key, record.value, 0))
        assert parsed == item
        assert parse_item(PlainRecord(record.key, json_encode(parsed), 0)) == item
    reviews = 0
    for record in islice(shop.records(), 8_000):
        if record.label != "event":
            continue
        kind = cast(TopicKind, record.topic_kind)
        event = parse_event(kind, record.value, "shop-0-0", record.ts_ms, record.ts_ms)
        assert decode_event(json_encode(event)) == event
        if event.kind == "review":
            reviews += 1
            assert event.text in CHINESE.praise[int(event.rating or 0)]
            assert event.title in CHINESE.headlines[int(event.rating or 0)]
    assert reviews > 50
