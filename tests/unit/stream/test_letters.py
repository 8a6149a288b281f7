"""A letter gives back the record that was refused, and says whether it may be sent again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stream.batching import PlainRecord
from stream.deadletter import MAX_LETTER_BYTES, SCHEMA, dead_letter
from stream.errors import BadRecord
from stream.letters import (
    Filter,
    Letter,
    Verdict,
    escaped,
    put_back,
    read_letter,
    replayable_topic,
    verdict,
)
from stream.outgoing import Header
from stream.replayed import FIRST_FAILED_MS, MAX_REPLAYS, REPLAY_COUNT, SOURCE, unmark
from stream.topics import DAY_MS

NOW_MS = 1_777_626_000_000
TOPIC = "t.reviews"
ERROR = BadRecord("rating", 9, "a number from 1 to 5", "out_of_range")

OURS = [SCHEMA, SOURCE, FIRST_FAILED_MS, REPLAY_COUNT, "tidemill.dlq.key", "tidemill.dlq.cut"]
names = st.sampled_from([*OURS, "__connect.errors.topic", "trace", ""]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=9
)
values = st.none() | st.binary(max_size=40) | st.sampled_from([b"1", b"0", b"t.reviews-3-1"])
records = st.builds(
    PlainRecord,
    key=st.none() | st.binary(max_size=30),
    value=st.none() | st.binary(max_size=200) | st.just(b'{"user_id": "ann", "event_id": "e"}'),
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.integers(-1, 2**62),
    headers=st.lists(st.tuples(names, values), max_size=8),
)


def refused(record: PlainRecord, *, topic: str = TOPIC, at_ms: int = NOW_MS) -> Letter:
    written = dead_letter(record, topic, 3, "ingest", ERROR, at_ms)
    assert all(isinstance(value, bytes) for _, value in written.headers)  # for kafka-python
    return read_letter(PlainRecord(written.key, written.value, 0, 0, written.headers))


def sent_again(letter: Letter, offset: int) -> PlainRecord:
    spec = replayable_topic(letter.topic, "t.")
    assert spec is not None
    back = put_back(letter, spec, 4, NOW_MS)
    return PlainRecord(back.key, back.value, offset, back.timestamp_ms or 0, back.headers)


def own(headers: Sequence[Header]) -> list[Header]:
    return list(unmark(headers, TOPIC)[0])


@given(records)
def test_a_record_comes_back_byte_for_byte_whatever_it_holds(record: PlainRecord) -> None:
    assume(own(record.headers) == list(record.headers))
    letter = refused(record)
    assert (letter.key, letter.value) == (record.key, record.value)
    assert list(letter.headers) == list(record.headers)
    assert letter.timestamp_ms == record.timestamp
    assert letter.source == f"{TOPIC}-3-{record.offset}"


@given(records, st.integers(1, 6))
def test_replayed_and_refused_again_it_is_still_the_same_record(
    record: PlainRecord, times: int
) -> None:
    assume(own(record.headers) == list(record.headers))
    first = letter = refused(record, at_ms=NOW_MS)
    for round_ in range(1, times + 1):
        again = sent_again(letter, offset=round_)
        assert own(again.headers) == list(record.headers)
        letter = refused(again, at_ms=NOW_MS + round_)
        assert letter.replay_count == round_
        assert letter.offset == round_
    same = {"key", "value", "headers", "source", "first_failed_ms", "event_id"}
    assert all(getattr(letter, name) == getattr(first, name) for name in same)


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ([("trace", b"x")], "tidemill.dlq.schema"),
        ([(SCHEMA, b"2")], "the version that this Tidemill reads"),
        ([(SCHEMA, b"1")], "__connect.errors.topic"),
    ],
)
def test_what_is_no_letter_is_refused_by_name(headers: list[Header], named: str) -> None:
    with pytest.raises(BadRecord, match=named):
        read_letter(PlainRecord(None, None, 0, 0, headers))


def test_a_letter_with_a_broken_number_is_refused() -> None:
    written = dead_letter(PlainRecord(None, b"", 0), TOPIC, 3, "ingest", ERROR, 5)
    headers = [(n, b"x" if n == "__connect.errors.offset" else v) for n, v in written.headers]
    with pytest.raises(BadRecord, match="as a dead letter's are"):
        read_letter(PlainRecord(None, b"", 0, 0, headers))


plain = refused(PlainRecord(b"ann", b"{}", 42, NOW_MS))


@pytest.mark.parametrize(
    ("letter", "newest", "expected"),
    [
        (plain, True, "replay"),
        (plain, False, "older"),
        (plain._replace(replay_count=MAX_REPLAYS - 1), True, "replay"),
        (plain._replace(replay_count=MAX_REPLAYS), True, "exhausted"),
        (refused(PlainRecord(b"k", b"x" * MAX_LETTER_BYTES, 0)), True, "cut"),
        (refused(PlainRecord(b"k" * MAX_LETTER_BYTES, b"x", 0)), True, "cut"),
        (refused(PlainRecord(b"k", b"x", 0, 0, [("h", b"x" * MAX_LETTER_BYTES)])), True, "cut"),
        (plain._replace(topic="t.examples"), True, "internal"),
        (plain._replace(topic="t.events"), True, "replay"),
        (plain._replace(topic="reviews"), True, "internal"),
        (plain._replace(topic="t.items"), True, "compacted"),
        (plain._replace(topic="t.clicks"), True, "no_topic"),
    ],
)
def test_each_letter_has_one_verdict(letter: Letter, newest: bool, expected: Verdict) -> None:
    partitions = {TOPIC: 4, "t.items": 4, "t.events": 4}
    assert verdict(letter, Filter(prefix="t."), partitions, newest=newest) == expected


def test_an_item_is_replayed_where_it_is_asked_for() -> None:
    wanted, item = Filter(prefix="t.", topics=("items",)), plain._replace(topic="t.items")
    assert verdict(item, wanted, {"t.items": 4}, newest=True) == "replay"


def test_a_record_keeps_partition_and_time_where_they_still_hold() -> None:
    spec = replayable_topic(TOPIC, "t.")
    assert spec is not None
    kept = put_back(plain, spec, 4, NOW_MS)
    assert (kept.partition, kept.timestamp_ms) == (3, NOW_MS)
    assert put_back(plain, spec, 3, NOW_MS).partition is None
    old_ms = NOW_MS - spec.retention_ms + DAY_MS
    assert put_back(plain._replace(timestamp_ms=old_ms), spec, 4, NOW_MS).timestamp_ms == old_ms
    for gone_ms in (old_ms - 1, -1):  # The broker would delete it, or refuse it.
        late = plain._replace(timestamp_ms=gone_ms)
        assert put_back(late, spec, 4, NOW_MS).timestamp_ms == NOW_MS


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Filter(), True),
        (Filter(prefix="t.", topics=("reviews",)), True),
        (Filter(prefix="t.", topics=(TOPIC,)), True),
        (Filter(prefix="t.", topics=("clicks",)), False),
        (Filter(reasons=("out_of_range",)), True),
        (Filter(reasons=("not_json",)), False),
        (Filter(roles=("serving", "ingest")), True),
        (Filter(roles=("serving",)), False),
        (Filter(since_ms=NOW_MS), True),
        (Filter(since_ms=NOW_MS + 1), False),
        (Filter(user_id="ann"), True),
        (Filter(user_id="bob"), True),
        (Filter(user_id="eve"), False),
    ],
)
def test_filters(wanted: Filter, taken: bool) -> None:
    letter = refused(PlainRecord(b"ann", b'{"user_id": "bob"}', 42))
    assert wanted.takes(letter) == taken


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_bytes_are_shown_on_one_line_and_can_be_told_apart(one: bytes, other: bytes) -> None:
    assert escaped(one).isprintable()
    assert (escaped(one) == escaped(other)) == (one == other)


def test_a_terminal_is_not_told_what_to_do() -> None:
    assert escaped(b"\x1b]0;gotcha\x07\\x1b\xff") == r"\x1b]0;gotcha\x07\\x1b\xff"
    assert escaped("a\u202eb".encode()) == r"a\u202eb"
