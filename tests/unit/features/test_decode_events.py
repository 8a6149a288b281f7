"""Records of `events` are decoded together as each by itself, and a bad one is named."""

from __future__ import annotations

import msgspec
import pytest

from features.decode_events import decode_events
from stream.batching import PlainRecord, Run
from stream.errors import BadRecord
from stream.events import Event, json_encode
from stream.replayed import Mark

EVENTS = [
    Event(
        event_id=f"e{n}",
        user_id="ann",
        item_id="tea",
        kind="click",
        ts_ms=n,
        source=f"tidemill.clicks-0-{n}",
        received_ms=n,
    )
    for n in range(3)
]


def run_of(*values: bytes | None) -> Run:
    return Run("events", 0, [PlainRecord(None, value, n) for n, value in enumerate(values)])


def test_good_events_come_out_as_they_went_in() -> None:
    assert decode_events(run_of(*map(json_encode, EVENTS))) == EVENTS


def test_an_event_in_several_lines_is_one() -> None:
    wide = msgspec.json.format(json_encode(EVENTS[0]), indent=1)
    assert decode_events(run_of(wide, json_encode(EVENTS[1]))) == EVENTS[:2]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"?", "not_json"),
        (None, "empty"),
        (b'{"event_id":"e"}', "wrong_type"),
        (json_encode(msgspec.structs.replace(EVENTS[0], user_id="")), "bad_id"),
        (json_encode(msgspec.structs.replace(EVENTS[0], item_id="i" * 290)), "bad_id"),
        (json_encode(msgspec.structs.replace(EVENTS[0], ts_ms=-1)), "bad_timestamp"),
        (json_encode(msgspec.structs.replace(EVENTS[0], received_ms=10**15)), "bad_timestamp"),
        (json_encode(EVENTS[0]) + b"\n" + json_encode(EVENTS[1]), "not_json"),
    ],
)
def test_a_bad_one_among_good_ones_is_named(bad: bytes | None, reason: str) -> None:
    with pytest.raises(BadRecord) as refused:
        decode_events(run_of(json_encode(EVENTS[1]), bad, json_encode(EVENTS[2])))
    assert refused.value.reason == reason


def test_a_replayed_one_says_so() -> None:
    headers = Mark("events-0-1", 0, 1).headers
    record = PlainRecord(None, json_encode(EVENTS[1]), 0, headers=headers)
    other = PlainRecord(None, json_encode(EVENTS[2]), 1)
    events = decode_events(Run("events", 0, [record, other]))
    assert [event.replayed for event in events] == [True, False]
