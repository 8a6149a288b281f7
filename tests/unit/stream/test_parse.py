"""Whatever bytes a producer sends, a valid struct or a `BadRecord` that it can act on comes out."""

from __future__ import annotations

import typing
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.batching import PlainRecord
from stream.errors import BadRecord, Reason
from stream.events import Click, Event, Filters, Item, Purchase, Request, Review
from stream.parse import (
    MAX_RECORD_BYTES,
    TopicKind,
    parse_category,
    parse_event,
    parse_item,
    parse_item_key,
    parse_request,
)
from stream.parse_faults import WANTED

NOW_MS = 1_777_626_000_000  # 2026-05-01T09:00:00Z
GOOD: dict[str, Any] = {"user_id": "ann", "item_id": "tea", "ts": NOW_MS - 5}
KINDS: tuple[TopicKind, ...] = ("clicks", "purchases", "reviews")


def event(kind: TopicKind = "clicks", **fields: Any) -> Event:
    return of_bytes(kind, msgspec.json.encode(GOOD | fields))


def of_bytes(kind: TopicKind, value: bytes | None) -> Event:
    return parse_event(kind, value, "clicks-3-42", NOW_MS - 1, NOW_MS)


def item(key: bytes | None = b"tea", **fields: Any) -> Item:
    value = msgspec.json.encode({"item_id": "tea"} | fields)
    return parse_item(PlainRecord(key, value, 0))


def request(**fields: Any) -> Request:
    value = msgspec.json.encode({"request_id": "r", "user_id": "ann"} | fields)
    return parse_request(PlainRecord(b"ann", value, 0))


def test_a_click_becomes_an_event_with_the_action_as_its_kind() -> None:
    found = event(action="cart", session_id="s", recommendation_id="rec", colour="ignored")
    assert found == Event(
        event_id="clicks-3-42",
        user_id="ann",
        item_id="tea",
        kind="cart",
        ts_ms=NOW_MS - 5,
        source="clicks-3-42",
        received_ms=NOW_MS - 1,
        session_id="s",
        recommendation_id="rec",
    )


def test_purchases_and_reviews_keep_what_only_they_have() -> None:
    bought = event("purchases", quantity=3, price=9.5, event_id="p1")
    assert (bought.kind, bought.quantity, bought.price, bought.event_id) == (
        "purchase",
        3,
        9.5,
        "p1",
    )
    read = event("reviews", rating=4, text="Good tea", title="Good")
    assert (read.kind, read.rating, read.text, read.title) == ("review", 4.0, "Good tea", "Good")


@pytest.mark.parametrize(
    ("text", "ts_ms"),
    [
        ("2026-05-01T09:00:00Z", NOW_MS),
        ("2026-05-01T11:00:00.250+02:00", NOW_MS + 250),
        ("20260501T090000Z", NOW_MS),
        ("2026-05-01", NOW_MS - 9 * 3_600_000),
    ],
)
def test_iso_times_are_read_with_their_zone(text: str, ts_ms: int) -> None:
    assert event(ts=text).ts_ms == ts_ms


@pytest.mark.parametrize(
    ("ts", "remedy"),
    [
        (1_777_626_000, "multiply seconds by 1000"),
        (1_777_626_000_000_000, "microseconds"),
        (NOW_MS + 86_400_001, "one day ahead"),
        (0, "after 1990"),
        (-5, "after 1990"),
        (10**60, "nanoseconds"),
        ("1989-12-31", "after 1990"),
        ("0001-01-01T00:00:00+14:00", "after 1990"),
        ("9999-12-31T23:59:59-14:00", "one day ahead"),
        ("2026-05-01T09:00:00", "with its zone"),
        ("yesterday", "ISO 8601"),
        ("", "ISO 8601"),
        (str(NOW_MS), "ISO 8601"),
    ],
)
def test_absurd_times_are_refused_with_the_remedy(ts: int | str, remedy: str) -> None:
    if remedy == "microseconds":
        remedy = "micro- or nanoseconds"
    with pytest.raises(BadRecord, match=remedy) as caught:
        event(ts=ts)
    assert (caught.value.reason, caught.value.field) == ("bad_timestamp", "ts")


def test_the_edges_of_the_allowed_time_are_allowed() -> None:
    assert event(ts=NOW_MS + 86_400_000).ts_ms == NOW_MS + 86_400_000
    assert event(ts="1990-01-01").ts_ms == 631_152_000_000


@pytest.mark.parametrize("bad", ["", " ", "a ", " a", "a\n", "a\x00b", "\u202ea", "x" * 257])
@pytest.mark.parametrize(
    "field", ["user_id", "item_id", "event_id", "recommendation_id", "session_id"]
)
def test_ids_that_would_break_a_key_or_a_log_line_are_refused(field: str, bad: str) -> None:
    with pytest.raises(BadRecord) as caught:
        event("clicks", **{field: bad})
    assert (caught.value.field, caught.value.reason) == (field, "bad_id")


def test_ids_may_hold_any_script_and_inner_spaces() -> None:
    assert event(user_id="Müller 日本 é").user_id == "Müller 日本 é"


@pytest.mark.parametrize(
    ("kind", "fields", "field", "reason", "words"),
    [
        ("reviews", {"rating": 9}, "rating", "out_of_range", "from 1 to 5, got 9"),
        ("reviews", {"rating": "5"}, "rating", "wrong_type", "a number from 1 to 5, got '5'"),
        ("reviews", {"text": None}, "text", "wrong_type", "must be text, got None"),
        ("reviews", {"text": "x" * 100_001}, "text", "too_large", "100001 characters"),
        ("reviews", {"title": "x" * 10_001}, "title", "too_large", "10001 characters"),
        ("purchases", {"quantity": 0}, "quantity", "out_of_range", "from 1 to 1000000, got 0"),
        ("purchases", {"quantity": 1.5}, "quantity", "wrong_type", "a whole number"),
        ("purchases", {"price": -1}, "price", "out_of_range", "from 0 to 1e9"),
        ("clicks", {"action": "stare"}, "action", "out_of_range", "view, click or cart"),
        ("clicks", {"user_id": 7}, "user_id", "wrong_type", "got 7"),
        ("clicks", {"item_id": None}, "item_id", "wrong_type", "got None"),
        ("clicks", {"ts": True}, "ts", "wrong_type", "milliseconds since the epoch"),
        ("clicks", {"ts": 1.5}, "ts", "wrong_type", "milliseconds since the epoch"),
    ],
)
def test_a_refusal_names_the_field_the_wish_and_the_find(
    kind: TopicKind, fields: dict[str, Any], field: str, reason: Reason, words: str
) -> None:
    with pytest.raises(BadRecord) as caught:
        event(kind, **fields)
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("field", ["user_id", "item_id", "ts"])
def test_a_missing_field_is_named_and_what_came_instead(field: str) -> None:
    rest = {name: value for name, value in GOOD.items() if name != field}
    with pytest.raises(BadRecord, match="must be given") as caught:
        of_bytes("clicks", msgspec.json.encode(rest))
    assert (caught.value.field, caught.value.reason) == (field, "missing_field")
    assert all(name in str(caught.value) for name in rest)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"hello", "not_json"),
        (b'{"user_id": "ann"', "not_json"),
        (b'{"user_id": "ann", "item_id": "tea", "ts": NaN}', "not_json"),
        (b'{"user_id": "a\xff"}', "not_json"),
        (b'{"user_id": "\\ud800"}', "not_json"),
        (b'{"user_id": "\xed\xa0\x80"}', "not_json"),
        (b"[1, 2]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
        (b'{"x": "' + b"a" * 10_000_000 + b'"}', "too_large"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_values_that_are_no_records(kind: TopicKind, value: bytes | None, reason: Reason) -> None:
    with pytest.raises(BadRecord) as caught:
        of_bytes(kind, value)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("digits", [30, 4_200, 4_310, 5_000])
def test_numbers_of_thousands_of_digits_are_only_refused(digits: int) -> None:
    with pytest.raises(BadRecord) as caught:
        of_bytes("clicks", b'{"user_id": "ann", "item_id": "tea", "ts": ' + b"9" * digits + b"}")
    assert caught.value.field == "ts"
    assert len(str(caught.value)) < 300


def test_a_value_of_exactly_the_limit_is_read() -> None:
    head = msgspec.json.encode(GOOD)[:-1] + b', "x": "'
    value = head + b"a" * (MAX_RECORD_BYTES - len(head) - 2) + b'"}'
    assert of_bytes("clicks", value).user_id == "ann"
    with pytest.raises(BadRecord, match="bytes long"):
        of_bytes("clicks", value + b" ")


def test_an_item_is_stripped_and_its_category_cut_into_levels() -> None:
    found = item(title=" Green tea\n", category=" Kitchen >Tea > ", brand="Acme ", price=3)
    assert (found.title, found.category, found.brand) == ("Green tea", ("Kitchen", "Tea"), "Acme")
    assert item(category=["Kitchen", "Tea"]).category == ("Kitchen", "Tea")
    assert item(category="Kitchen/Tea").category == ("Kitchen", "Tea")
    assert item(category="").category == ()


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"category": 3}, "category", "wrong_type"),
        ({"category": ["a", 3]}, "category[1]", "wrong_type"),
        ({"category": "a>" * 17}, "category", "too_large"),
        ({"price": -0.01}, "price", "out_of_range"),
        ({"image_vector": []}, "image_vector", "too_large"),
        ({"image_vector": [0.0] * 8_193}, "image_vector", "too_large"),
        ({"image_vector": [1, "a"]}, "image_vector[1]", "wrong_type"),
        ({"available": "yes"}, "available", "wrong_type"),
        ({"item_id": "coffee"}, "key", "bad_id"),
        ({"description": "x" * 100_001}, "description", "too_large"),
    ],
)
def test_bad_items_are_refused(fields: dict[str, Any], field: str, reason: Reason) -> None:
    with pytest.raises(BadRecord) as caught:
        item(**fields)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_a_tombstone_names_its_item_by_its_key() -> None:
    assert parse_item_key(PlainRecord("thé".encode(), None, 0)) == "thé"
    with pytest.raises(BadRecord) as caught:
        parse_item(PlainRecord(b"tea", None, 0))
    assert caught.value.reason == "empty"
    for key in (None, b"", b"\xff", b" tea", b"x" * 257):
        with pytest.raises(BadRecord):
            parse_item_key(PlainRecord(key, None, 0))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"k": 0}, "k"),
        ({"k": 201}, "k"),
        ({"user_id": "a\n"}, "user_id"),
        ({"request_id": " "}, "request_id"),
        ({"context_item": " "}, "context_item"),
        ({"query": "x" * 1_001}, "query"),
        ({"filters": {"price_min": "cheap"}}, "filters.price_min"),
        ({"filters": {"price_min": 5, "price_max": 4}}, "filters.price_max"),
        ({"filters": 3}, "filters"),
    ],
)
def test_bad_requests_are_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRecord) as caught:
        request(**fields)
    assert caught.value.field == field


def test_a_request_without_wishes_gets_the_defaults() -> None:
    assert (request().k, request().filters, request().surface) == (10, Filters(), "home")


@pytest.mark.parametrize("struct", [Click, Purchase, Review, Item, Request, Filters])
def test_every_field_of_a_raw_record_has_words_for_its_refusal(
    struct: type[msgspec.Struct],
) -> None:
    assert set(struct.__struct_fields__) <= set(WANTED)


LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
ANY_JSON = (
    LEAF | st.lists(LEAF, max_size=3) | st.dictionaries(st.text(max_size=3), LEAF, max_size=2)
)
FIELDS = sorted(WANTED)


@given(value=st.binary(max_size=200))
def test_no_bytes_raise_anything_but_bad_record(value: bytes) -> None:
    check_total(value)


@given(value=st.dictionaries(st.sampled_from(FIELDS), ANY_JSON, max_size=4))
def test_no_json_raises_anything_but_bad_record(value: dict[str, object]) -> None:
    check_total(msgspec.json.encode(value))
    check_total(msgspec.json.encode(GOOD | {"request_id": "r"} | value))


@given(at=st.integers(0, 200), byte=st.integers(0, 255), cut=st.integers(0, 200))
def test_damaged_records_raise_nothing_but_bad_record(at: int, byte: int, cut: int) -> None:
    good = bytearray(msgspec.json.encode(GOOD | {"text": "good tea", "rating": 4, "ts": "2026"}))
    good[at % len(good)] = byte
    check_total(bytes(good))
    check_total(bytes(good[:cut]))


def check_total(value: bytes) -> None:
    """Feed `value` to every parser: what comes out is valid, or a `BadRecord` of a known reason."""
    for kind in KINDS:
        try:
            found = of_bytes(kind, value)
        except BadRecord as error:
            assert error.reason in get_args(Reason)
            assert "\n" not in str(error)
            assert len(str(error)) < 500
        else:
            assert found.user_id.strip() == found.user_id != ""
            assert 631_152_000_000 <= found.ts_ms <= NOW_MS + 86_400_000
            assert found.kind in typing.get_args(typing.get_type_hints(Event)["kind"])
    for parse in (parse_item, parse_request, parse_item_key):
        try:
            parse(PlainRecord(value[:40], value, 0))
        except BadRecord as error:
            assert error.reason in get_args(Reason)


@given(st.datetimes(datetime(1990, 1, 2), datetime(2026, 4, 30)), st.integers(-840, 840))  # noqa: DTZ001
def test_every_iso_time_is_read_to_the_millisecond(moment: datetime, zone_min: int) -> None:
    aware = moment.replace(tzinfo=UTC)
    local = aware + timedelta(minutes=zone_min)
    sign, rest = ("-", -zone_min) if zone_min < 0 else ("+", zone_min)
    text = f"{local.replace(tzinfo=None).isoformat()}{sign}{rest // 60:02}:{rest % 60:02}"
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert event(ts=text).ts_ms == (aware - epoch) // timedelta(milliseconds=1)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_category_levels_are_never_blank(levels: list[str]) -> None:
    assert all(level == level.strip() != "" for level in parse_category(" > ".join(levels)))
