"""Titles and reviews in any script, on their way from ingest to the learner and to the shopper."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.catalog import Catalog
from features.interest import MAX_NAME_CHARS, InterestConfig, ItemSpace
from features.profile import InterestModel, Place, apply
from features.profile_state import EMPTY, decode, encode
from learner.catalogue import encode_items
from serving.index import ItemIndex
from stream.events import (
    Event,
    Item,
    decode_example,
    decode_item_vector,
    decode_recommendation,
    json_encode,
    msgpack_encode,
)
from stream.parse import parse_category
from tests.unit.features.test_profile import NeverShifts
from tests.unit.serving.shop import NOW_MS, ask, item, recommender, user
from tests.unit.stream.scripts import any_script, characters

ANSWERED, REASONED = 200, 80
"""What a title may have in an answer, and in another item's reason."""


FAMILIES = ["a", *["👨\u200d👩\u200d👧\u200d👦"] * 60]


class AlikeEncoder:
    """Every text points the same way."""

    name = "alike"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        return np.ones((len(texts), 1), np.float16)


@given(title=any_script, description=any_script, brand=any_script)
def test_an_item_keeps_its_words_on_the_way_to_every_process(
    title: str, description: str, brand: str
) -> None:
    category = parse_category("厨房 > 茶叶")
    sent = Item(item_id="tea", title=title, description=description, brand=brand, category=category)
    parts = list(encode_items([sent], AlikeEncoder(), lambda _: None, NOW_MS))
    got = decode_item_vector(msgpack_encode(parts[-1][0]))
    assert (got.title, got.brand, got.category) == (title, brand, category)


@given(title=any_script, text=any_script, brand=st.lists(characters, max_size=120))
@example(title="茶", text="很好", brand=FAMILIES)
def test_a_review_reaches_the_learner_whole(title: str, text: str, brand: list[str]) -> None:
    catalog = Catalog(width=64)
    name = "".join(brand)
    vector = np.eye(64, dtype="<f2")[0].tobytes()
    catalog.upsert([msgspec.structs.replace(item("tea", "Tea", 0.0), vector=vector, brand=name)])
    model = InterestModel(ItemSpace(catalog), NeverShifts(), InterestConfig())
    event = Event(
        event_id="e",
        user_id="ann",
        item_id="tea",
        kind="review",
        ts_ms=NOW_MS,
        source="reviews-0-7",
        received_ms=NOW_MS,
        rating=5.0,
        title=title,
        text=text,
    )
    applied = apply(EMPTY, event, Place(0, 7), model)
    assert applied.example is not None
    learnt = decode_example(msgpack_encode(applied.example))
    assert learnt.text == f"{title}\n{text}".strip()
    # What a profile keeps of a long name is its begin, and no half of a character.
    kept = [name for name in decode(encode(applied.profile)).brands if name]
    assert kept in ([], [whole_begin(brand, MAX_NAME_CHARS)])


@given(parts=st.lists(characters, min_size=1, max_size=250))
@example(parts=FAMILIES)
def test_an_answer_and_its_reasons_tear_no_character_apart(parts: list[str]) -> None:
    title = "".join(parts)
    index = ItemIndex(Catalog(width=2))
    index.upsert([item("a", "Tea", 0.0, title=title), item("b", "Tea", 0.0, title=title)])
    [answer] = recommender(index).answer_many([ask("ann")], [user("ann", ("a", "purchase"))])
    read = decode_recommendation(json_encode(answer))
    assert {entry.title for entry in read.items} == {whole_begin(parts, ANSWERED)}
    short = title if len(title) <= REASONED else whole_begin(parts, REASONED - 1) + "…"
    assert f"because you bought {short}" in {entry.reason for entry in read.items}


def whole_begin(parts: Sequence[str], limit: int) -> str:
    """As many whole characters as fit."""
    begins = ("".join(parts[:count]) for count in range(len(parts) + 1))
    return [begin for begin in begins if len(begin) <= limit][-1]
