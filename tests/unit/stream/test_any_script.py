"""What a shop writes in any script goes from raw record to event to JSON and back, unchanged."""

from __future__ import annotations

import json  # It writes non-ASCII characters escaped, as many producers do.
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.batching import PlainRecord, Run
from stream.cut import cut
from stream.deadletter import dead_letter
from stream.errors import BadRecord
from stream.events import decode_event, json_encode
from stream.ingest import Ingest
from stream.letters import read_letter
from stream.parse import parse_event, parse_item
from stream.parse_together import parse_together
from tests.unit.stream.scripts import any_script, characters

NOW_MS = 1_777_626_000_000
REVIEW = {"user_id": "ann", "item_id": "tea", "ts": NOW_MS, "rating": 5}


def written(fields: dict[str, Any], *, escaped: bool) -> bytes:
    return json.dumps(fields, ensure_ascii=escaped).encode()


@given(title=any_script, text=any_script, escaped=st.booleans())
def test_a_review_comes_through_whole(title: str, text: str, escaped: bool) -> None:
    value = written(REVIEW | {"title": title, "text": text}, escaped=escaped)
    record = PlainRecord(b"ann", value, 7, NOW_MS - 5)

    alone = parse_event("reviews", value, "reviews-0-7", NOW_MS - 5, NOW_MS)
    together = parse_together("reviews", [record], "reviews", 0, NOW_MS)
    result = Ingest({"reviews": "reviews"}).take(Run("reviews", 0, [record, record]), NOW_MS)

    assert (alone.title, alone.text) == (title, text)
    assert together == [alone]
    assert [decode_event(event.value or b"") for event in result.events] == [alone]
    assert decode_event(json_encode(alone)) == alone
    # And for those who read the topic with another library.
    said = {"title": "", "text": ""} | json.loads(json_encode(alone))
    assert (said["title"], said["text"]) == (title, text)


@given(texts=st.lists(st.tuples(any_script, any_script), min_size=2, max_size=5))
def test_reviews_in_many_scripts_do_not_run_into_each_other(texts: list[tuple[str, str]]) -> None:
    records = [
        PlainRecord(
            b"ann", written(REVIEW | {"title": title, "text": text}, escaped=False), at, NOW_MS - 5
        )
        for at, (title, text) in enumerate(texts)
    ]
    result = Ingest({"reviews": "reviews"}).take(Run("reviews", 0, records), NOW_MS)
    events = [decode_event(event.value or b"") for event in result.events]
    assert [(event.title, event.text) for event in events] == texts


@given(title=any_script, description=any_script, brand=any_script, escaped=st.booleans())
def test_an_item_comes_through_whole_but_for_the_space_around_its_texts(
    title: str, description: str, brand: str, escaped: bool
) -> None:
    fields = {"title": title, "description": description, "brand": brand}
    value = written({"item_id": "tea", "category": ["厨房", "茶叶"]} | fields, escaped=escaped)
    item = parse_item(PlainRecord(b"tea", value, 0))
    assert (item.title, item.description, item.brand) == tuple(
        text.strip() for text in fields.values()
    )
    assert item.category == ("厨房", "茶叶")
    assert parse_item(PlainRecord(b"tea", json_encode(item), 0)) == item


@given(text=any_script)
def test_a_refused_review_is_kept_whole_in_its_dead_letter(text: str) -> None:
    value = written(REVIEW | {"text": text, "rating": text}, escaped=False)
    record = PlainRecord(b"ann", value, 7, NOW_MS)
    with pytest.raises(BadRecord) as refused:
        parse_event("reviews", value, "reviews-0-7", NOW_MS, NOW_MS)
    letter = dead_letter(record, "reviews", 0, "ingest", refused.value, NOW_MS)
    assert read_letter(PlainRecord(letter.key, letter.value, 0, 0, letter.headers)).value == value


@pytest.mark.parametrize("name", ["小明", "محمد", "हिन्दी", "👍", "Zoë", "Žižek"])
def test_ids_may_be_in_any_script(name: str) -> None:
    value = written(REVIEW | {"user_id": name, "item_id": name, "event_id": name}, escaped=True)
    event = parse_event("reviews", value, "reviews-0-7", NOW_MS, NOW_MS)
    assert (event.user_id, event.item_id, event.event_id) == (name, name, name)
    assert decode_event(json_encode(event)) == event


# Where a text has to be cut ---------------------------------------------------------------------


@given(text=any_script, limit=st.integers(0, 60))
@example(text="e" + "\u0301" * 300, limit=80)
def test_a_cut_text_is_the_begin_of_the_text(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert text.startswith(short)
    assert len(short) <= limit
    assert short == text or len(short) > limit - 32
    assert cut(short, limit) == short


@given(texts=st.lists(characters, max_size=30), limit=st.integers(0, 60))
def test_no_character_is_torn_apart(texts: list[str], limit: int) -> None:
    short = cut("".join(texts), limit)
    assert short in {"".join(texts[:count]) for count in range(len(texts) + 1)}
