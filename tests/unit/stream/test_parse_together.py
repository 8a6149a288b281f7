"""Records judged together get what each would get by itself, or are left to be judged so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.batching import PlainRecord
from stream.events import Event
from stream.parse import TopicKind, parse_event
from stream.parse_time import AHEAD_MS
from stream.parse_together import parse_together
from stream.replayed import Mark, source_name
from tests.hostile import HOSTILE, NOW_MS, VALID

GOOD = {"user_id": "ann", "item_id": "tea", "ts": NOW_MS}
KINDS: Sequence[TopicKind] = get_args(TopicKind)


def record(value: object, offset: int = 0, timestamp: int = NOW_MS - 5) -> PlainRecord:
    raw = value if isinstance(value, bytes | None) else msgspec.json.encode(value)
    return PlainRecord(b"any key", raw, offset, timestamp)


def each(kind: TopicKind, records: Sequence[PlainRecord]) -> list[Event]:
    """What they are one by one; raises where one of them is bad."""
    return [
        parse_event(
            kind,
            one.value,
            source_name(kind, 3, one.offset),
            one.timestamp if 0 < one.timestamp < NOW_MS else NOW_MS,
            NOW_MS,
        )
        for one in records
    ]


IDS = st.sampled_from(["a", "ann lee", "ü|x", "a| b", " a", "b ", "x" * 256, "z\u200b", "\u2028"])
FIELDS = {
    "user_id": IDS,
    "item_id": IDS,
    "ts": st.sampled_from([NOW_MS, "2026-05-01T09:00:00Z", NOW_MS + AHEAD_MS, 1, "noon"]),
    "event_id": IDS | st.none(),
    "session_id": IDS,
    "recommendation_id": IDS | st.none(),
    "action": st.sampled_from(["view", "cart"]),
    "quantity": st.integers(0, 3),
    "price": st.floats(0, 9),
    "rating": st.integers(1, 5),
    "title": st.text(max_size=3),
    "text": st.sampled_from(["fine", "x" * 100_001]),
    "other": st.recursive(st.none() | st.text('{}\n"a', max_size=4), st.lists, max_leaves=4),
}
PLAIN = st.fixed_dictionaries({}, optional=FIELDS).map(lambda fields: GOOD | fields)


@given(
    kind=st.sampled_from(KINDS),
    values=st.lists(PLAIN, min_size=1, max_size=5),
    times=st.lists(st.sampled_from([0, NOW_MS - 9, NOW_MS + 9]), min_size=5, max_size=5),
)
def test_together_they_are_what_each_of_them_is(
    kind: TopicKind, values: list[object], times: list[int]
) -> None:
    records = [record(value, n, times[n]) for n, value in enumerate(values)]
    together = parse_together(kind, records, kind, 3, NOW_MS)
    if together is not None:
        assert together == each(kind, records)


@pytest.mark.parametrize("kind", KINDS)
def test_good_records_are_taken_together(kind: TopicKind) -> None:
    more = {"event_id": "e 1", "recommendation_id": "r", "session_id": "s"}
    values = [GOOD, GOOD | more, GOOD | {"ts": "2026-05-01T09:00:00Z", "unknown": {"a": [{}]}}]
    records = [record(value, n) for n, value in enumerate(values)]
    assert parse_together(kind, records, kind, 3, NOW_MS) == each(kind, records)


LINE = msgspec.json.encode(GOOD)
HALVES = [
    (b'{"user_id":"ann","item_id":"tea",', b'"ts":1777626000000}' + LINE),
    (b'{"user_id":"ann","item_id":"tea","ts":1777626000000', b"}" + LINE),
    (LINE + LINE, b" "),
    (LINE + b"\n" + LINE, b""),
    (b'{"user_id":"ann","x":{}', b',"item_id":"tea","ts":1777626000000}' + LINE),
    (b'{"x":"}', b'{","user_id":"ann","item_id":"tea","ts":1777626000000}' + LINE),
]


@pytest.mark.parametrize("pair", HALVES)
def test_two_records_that_only_together_are_two_events_are_not_taken(
    pair: tuple[bytes, bytes],
) -> None:
    for values in (pair, (LINE, *pair), (*pair, LINE), pair[::-1]):
        records = [record(value, n) for n, value in enumerate(values)]
        assert parse_together("clicks", records, "clicks", 3, NOW_MS) is None


@given(
    kind=st.sampled_from(KINDS),
    values=st.lists(
        st.sampled_from([*HOSTILE, *VALID.values(), LINE, None]), min_size=1, max_size=3
    ),
)
def test_hostile_records_are_taken_only_where_each_is_good(
    kind: TopicKind, values: list[bytes | None]
) -> None:
    records = [record(value, n) for n, value in enumerate(values)]
    together = parse_together(kind, records, kind, 3, NOW_MS)
    if together is not None:
        assert together == each(kind, records)


@given(st.lists(st.text('{}",:[]\n ab', max_size=6).map(str.encode), min_size=2, max_size=4))
def test_pieces_of_json_are_never_put_together(pieces: list[bytes]) -> None:
    whole = LINE.join(pieces)
    cuts = [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
    for values in (pieces, cuts, [LINE, *pieces], [LINE, *cuts]):
        records = [record(value, n) for n, value in enumerate(values)]
        together = parse_together("clicks", records, "clicks", 3, NOW_MS)
        if together is not None:
            assert together == each("clicks", records)


def test_a_replayed_record_is_left_to_be_judged_by_itself() -> None:
    replayed = record(GOOD)._replace(headers=Mark("clicks-3-7", NOW_MS, 0).headers)
    assert parse_together("clicks", [record(GOOD), replayed], "clicks", 3, NOW_MS) is None
