"""An item's own attributes: what a shop may say of it, and where it ends."""

from __future__ import annotations

import msgspec
import pytest

from stream.batching import PlainRecord
from stream.errors import BadRecord
from stream.events import AttributeValue
from stream.parse import MAX_ATTRIBUTES, parse_item


def item_with(attributes: dict[str, AttributeValue]) -> PlainRecord:
    value = msgspec.json.encode({"item_id": "pot", "attributes": attributes})
    return PlainRecord(b"pot", value, 0)


def test_texts_numbers_and_truths_are_kept_as_they_are() -> None:
    item = parse_item(item_with({"weight": 1.5, "colour": "red", "dishwasher": True, "cups": 4}))
    assert item.attributes == {"weight": 1.5, "colour": "red", "dishwasher": True, "cups": 4.0}
    assert item.attributes["dishwasher"] is True


@pytest.mark.parametrize(
    "attributes",
    [
        {f"a{n}": 1.0 for n in range(MAX_ATTRIBUTES + 1)},
        {"": 1.0},
        {"line\nbreak": 1.0},
        {"n" * 129: 1.0},
        {"text": "x" * 10_001},
        {f"a{n}": "x" * 9_000 for n in range(9)},
    ],
)
def test_more_than_every_process_should_keep_is_refused(
    attributes: dict[str, AttributeValue],
) -> None:
    with pytest.raises(BadRecord, match="attributes"):
        parse_item(item_with(attributes))


def test_a_list_is_no_value() -> None:
    value = b'{"item_id": "pot", "attributes": {"sizes": [1, 2]}}'
    with pytest.raises(BadRecord, match="attributes"):
        parse_item(PlainRecord(b"pot", value, 0))
