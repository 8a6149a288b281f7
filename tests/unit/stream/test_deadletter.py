"""A dead letter lets a reader find, understand and repair what was refused."""

from __future__ import annotations

import pytest

from stream.batching import PlainRecord
from stream.deadletter import MAX_HEADER_BYTES, MAX_VALUE_BYTES, dead_letter
from stream.errors import BadRecord
from stream.outgoing import Outgoing
from stream.publish import PublishConfig

ERROR = BadRecord("rating", 9, "a number from 1 to 5", "out_of_range")


def letter(record: PlainRecord, error: BadRecord = ERROR) -> Outgoing:
    return dead_letter(record, "tidemill.reviews", 3, "ingest", error, now_ms=1_234)


def test_the_value_is_untouched_and_the_headers_say_where_and_why() -> None:
    found = letter(PlainRecord(b"ann", b'\xff{"rating": 9}', 1842, headers=[("trace", b"abc")]))
    assert found.key == b"tidemill.reviews"
    assert found.value == b'\xff{"rating": 9}'
    assert list(found.headers) == [
        ("trace", b"abc"),
        ("__connect.errors.topic", b"tidemill.reviews"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"1842"),
        ("__connect.errors.stage", b"ingest"),
        ("__connect.errors.exception.class.name", b"stream.errors.BadRecord"),
        (
            "__connect.errors.exception.message",
            b"tidemill.reviews[3]@1842: `rating` must be a number from 1 to 5, got 9",
        ),
        ("tidemill.dlq.reason", b"out_of_range"),
        ("tidemill.dlq.role", b"ingest"),
        ("tidemill.dlq.failed_ms", b"1234"),
        ("tidemill.dlq.key", b"ann"),
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
def test_the_largest_record_still_fits_the_broker(size: int) -> None:
    headers = [(f"h{n}", b"x" * 10_000) for n in range(100)]
    found = letter(PlainRecord(b"k" * 100_000, b"v" * size, 7, headers=headers))
    assert found.size <= PublishConfig().max_record_bytes
    cut = dict(found.headers).get("tidemill.dlq.cut_from")
    assert cut == (None if size <= MAX_VALUE_BYTES else str(size).encode())
    own = [name for name, _ in found.headers if name.startswith("h")]
    assert own == [f"h{n}" for n in range(MAX_HEADER_BYTES // 10_003)]


def test_a_message_that_is_no_utf8_is_written_all_the_same() -> None:
    found = letter(PlainRecord(None, b"", 0), BadRecord("text", 0, "not \ud800", "failed"))
    assert b"\\ud800" in dict(found.headers)["__connect.errors.exception.message"]
