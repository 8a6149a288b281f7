"""Who has opted out, as records say it."""

from __future__ import annotations

import pytest

from stream.batching import PlainRecord
from stream.choices import Choices, parse_choice
from stream.errors import BadRecord


def record(value: bytes | None, key: bytes = b"ann") -> PlainRecord:
    return PlainRecord(key, value, 0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"?", "not_json"),
        (b'{"user_id": "ann"}', "wrong_type"),
        (b'{"user_id": "ann", "personalised": "no"}', "wrong_type"),
        (b'{"user_id": "a\\u0000n", "personalised": false}', "bad_id"),
        (b'{"user_id": "ann", "personalised": false, "tenant": "x"}', "unknown_tenant"),
    ],
)
def test_what_is_no_choice_is_refused_and_changes_nothing(value: bytes, reason: str) -> None:
    with pytest.raises(BadRecord) as refused:
        parse_choice(record(value))
    assert refused.value.reason == reason
    choices = Choices()
    assert not choices.take(record(value))
    assert not choices.opted_out("ann")


@pytest.mark.parametrize("key", [b"", b"a\x00n", b"\xff", b"x" * 257])
def test_a_tombstone_of_nobody_is_refused_and_stops_nobody(key: bytes) -> None:
    with pytest.raises(BadRecord) as refused:
        parse_choice(record(None, key))
    assert refused.value.field == "key"
    assert not Choices().take(record(None, key))


def test_the_newest_choice_counts_and_a_tombstone_takes_it_back() -> None:
    choices = Choices({"acme"})
    out, back = (b'{"user_id": "ann", "personalised": %s}' % word for word in (b"false", b"true"))
    for value, wanted in ((out, True), (back, False), (out, True), (None, False)):
        choices.take(record(value))
        assert choices.opted_out("ann") is wanted
    choices.take(record(b'{"user_id": "ann", "personalised": false, "tenant": "acme"}'))
    assert choices.opted_out("acme\x1fann")
    assert not choices.opted_out("ann")
    choices.take(record(None, b"acme/ann"))
    assert not len(choices)
