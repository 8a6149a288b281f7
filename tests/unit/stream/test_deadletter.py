"""A dead letter lets a reader find, understand and repair what was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stream.batching import PlainRecord
from stream.deadletter import (
    MAX_HEADER_BYTES,
    MAX_LETTER_BYTES,
    MAX_VALUE_BYTES,
    code_version,
    dead_letter,
    publish_letters,
    shortened,
)
from stream.errors import BadRecord
from stream.letters import read_letter
from stream.outgoing import Header, Outgoing, RecordTooLarge
from stream.parse import parse_event
from stream.publish import PublishConfig
from stream.replayed import Mark, source_of

ERROR = BadRecord("rating", 9, "a number from 1 to 5", "out_of_range")


def letter(record: PlainRecord, error: BadRecord = ERROR) -> Outgoing:
    return dead_letter(record, "tidemill.reviews", 3, "ingest", error, now_ms=1_234)


def test_the_value_is_untouched_and_the_headers_say_where_and_why() -> None:
    value = b'{"rating": 9, "event_id": "e1"}'
    found = letter(PlainRecord(b"ann", value, 1842, 77, headers=[("trace", b"abc")]))
    assert found.key == b"tidemill.reviews"
    assert found.value == value
    assert list(found.headers) == [
        ("trace", b"abc"),
        ("tidemill.dlq.schema", b"1"),
        ("__connect.errors.topic", b"tidemill.reviews"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"1842"),
        ("__connect.errors.stage", b"ingest"),
        ("__connect.errors.class.name", b"ingest"),
        ("__connect.errors.exception.class.name", b"stream.errors.BadRecord"),
        (
            "__connect.errors.exception.message",
            b"tidemill.reviews[3]@1842: `rating` must be a number from 1 to 5, got 9",
        ),
        ("tidemill.dlq.reason", b"out_of_range"),
        ("tidemill.dlq.role", b"ingest"),
        ("tidemill.dlq.attempt", b"1"),
        ("tidemill.dlq.first_failed_ms", b"1234"),
        ("tidemill.dlq.last_failed_ms", b"1234"),
        ("tidemill.dlq.disposition", b"replayable"),
        ("tidemill.dlq.code_version", code_version().encode()),
        ("tidemill.dlq.replay_count", b"0"),
        ("tidemill.dlq.source", b"tidemill.reviews-3-1842"),
        ("tidemill.dlq.timestamp_ms", b"77"),
        ("tidemill.dlq.event_id", b"e1"),
        ("tidemill.dlq.key", b"ann"),
    ]


def test_the_class_name_is_the_function_that_refused() -> None:
    with pytest.raises(BadRecord) as caught:
        parse_event("clicks", b"[]", "s", 0, 0)
    found = dict(letter(PlainRecord(None, b"[]", 0), caught.value).headers)
    assert found["__connect.errors.class.name"] == b"stream.parse.parse_event"


def test_a_replayed_record_keeps_its_first_place_and_counts() -> None:
    mark = Mark("tidemill.reviews-3-1842", 1_000, 1)
    again = PlainRecord(b"ann", b"?", 99, headers=[("trace", b"abc"), *mark.headers])
    found = letter(again)
    assert next(iter(found.headers)) == ("trace", b"abc")
    assert [name for name, _ in found.headers].count("tidemill.dlq.source") == 1
    headers = dict(found.headers)
    assert headers["__connect.errors.offset"] == b"99"
    assert headers["tidemill.dlq.source"] == b"tidemill.reviews-3-1842"
    assert headers["tidemill.dlq.first_failed_ms"] == b"1000"
    assert headers["tidemill.dlq.replay_count"] == b"2"
    assert headers["tidemill.dlq.disposition"] == b"replayable"
    last = letter(PlainRecord(b"ann", b"?", 9, headers=mark._replace(replay_count=2).headers))
    assert dict(last.headers)["tidemill.dlq.disposition"] == b"final"


@pytest.mark.parametrize(
    "headers",
    [
        Mark("tidemill.clicks-3-1842", 1, 1).headers,  # of another topic
        Mark("tidemill.reviews-3-x", 1, 1).headers,
        Mark("tidemill.reviews-3-1", 1, -1).headers,
        Mark("tidemill.reviews-3-1", 10**30, 1).headers,
        [*Mark("tidemill.reviews-3-1", 1, 1).headers, ("trace", b"")],
        [(name, None) for name, _ in Mark("", 0, 0).headers],
    ],
)
def test_a_mark_that_is_none_is_a_header_like_another(headers: list[Header]) -> None:
    record = PlainRecord(None, b"?", 5, headers=headers)
    assert source_of(record, "tidemill.reviews", 3) == "tidemill.reviews-3-5"
    assert dict(letter(record).headers)["tidemill.dlq.replay_count"] == b"0"


def test_endless_empty_headers_make_no_endless_letter() -> None:
    record = PlainRecord(None, b"v" * MAX_VALUE_BYTES, 5, headers=[("", None)] * 200_000)
    found = letter(record)
    assert found.size <= PublishConfig().max_record_bytes
    assert dict(found.headers)["tidemill.dlq.cut"] == b"headers"


DEFAULT_BROKER_BYTES = 1_048_588
"""Of a batch, so of a record too: `message.max.bytes`."""


@pytest.mark.parametrize(
    "record",
    [
        PlainRecord(b"ann", b"v" * DEFAULT_BROKER_BYTES, 5),
        PlainRecord(b"k" * DEFAULT_BROKER_BYTES, b"v", 5),
        PlainRecord(None, b"v", 5, headers=[("trace", b"h" * DEFAULT_BROKER_BYTES)]),
        PlainRecord(None, b"v", 5, headers=[(f"h{n}", b"x" * 10) for n in range(60_000)]),
        PlainRecord(None, b"v", 5, headers=[("", None)] * 80_000),
    ],
)
def test_whatever_a_broker_takes_by_default_is_kept_whole(record: PlainRecord) -> None:
    found = letter(record)
    assert found.size <= MAX_LETTER_BYTES
    read = read_letter(PlainRecord(found.key, found.value, 0, 0, found.headers))
    assert (read.key, read.value, list(read.headers)) == (
        record.key,
        record.value,
        list(record.headers),
    )
    assert read.cut == ""
    # A topic that takes less gets less, and the letter says so.
    less = shortened(found)
    assert less.size <= PublishConfig().max_record_bytes
    read = read_letter(PlainRecord(less.key, less.value, 0, 0, less.headers))
    assert read.cut in ("value", "key", "headers")
    assert dict(less.headers)["tidemill.dlq.disposition"] == b"final"


def test_a_letter_that_its_topic_does_not_take_is_cut_and_its_neighbours_are_not() -> None:
    class Narrow:
        sent: Sequence[Outgoing] = ()

        async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
            for index, record in enumerate(records):
                if record.size > 1_040_000:
                    raise RecordTooLarge(topic, record, index, 1_040_000)
            self.sent = records

    narrow, sizes = Narrow(), (1_030_000, 1_045_000, 10, 1_048_000)
    letters = [letter(PlainRecord(None, b"v" * size, 5)) for size in sizes]
    asyncio.run(publish_letters(narrow, "dead-letters", letters))
    assert [len(sent.value or b"") for sent in narrow.sent] == [
        1_030_000,
        MAX_VALUE_BYTES,
        10,
        MAX_VALUE_BYTES,
    ]


def test_no_key_and_no_value_stay_absent() -> None:
    found = letter(PlainRecord(None, None, 0))
    assert found.value is None
    assert "tidemill.dlq.key" not in dict(found.headers)


def test_a_record_refused_twice_is_found_at_its_second_place() -> None:
    first = letter(PlainRecord(b"ann", b"x", 1))
    again = dead_letter(
        PlainRecord(b"k", first.value, 99, headers=first.headers), "t", 0, "r", ERROR, 1
    )
    assert dict(again.headers)["__connect.errors.offset"] == b"99"


@pytest.mark.parametrize("size", [MAX_VALUE_BYTES, MAX_VALUE_BYTES + 1, 2 * MAX_VALUE_BYTES])
def test_the_largest_record_of_any_broker_still_fits(size: int) -> None:
    headers = [(f"h{n}", b"x" * 10_000) for n in range(100)]
    found = letter(PlainRecord(b"k" * 100_000, b"v" * size, 7, headers=headers))
    found = shortened(found)
    assert found.size <= PublishConfig().max_record_bytes
    cut = dict(found.headers).get("tidemill.dlq.cut_from")
    assert cut == (None if size <= MAX_VALUE_BYTES else str(size).encode())
    own = [name for name, _ in found.headers if name.startswith("h")]
    assert own == [f"h{n}" for n in range(MAX_HEADER_BYTES // 10_019)]


def test_a_message_that_is_no_utf8_is_written_all_the_same() -> None:
    found = letter(PlainRecord(None, b"", 0), BadRecord("text", 0, "not \ud800", "failed"))
    message = dict(found.headers)["__connect.errors.exception.message"]
    assert message is not None
    assert b"\\ud800" in message
