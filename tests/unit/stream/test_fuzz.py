"""Whatever a producer sends is an event, a duplicate or a dead letter: never a crash, never a stop.

The records come from `tests.hostile`: a corpus, what is drawn from it by seed, and what hypothesis
finds. Their number is what counts: 100,000 go through ingest itself and through the parsers.
"""

from __future__ import annotations

import json  # It writes NaN, Infinity and lone surrogates, as others' encoders do.
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.batching import PlainRecord, Run
from stream.deadletter import MAX_LETTER_BYTES, dead_letter
from stream.errors import BadRecord, Reason
from stream.events import decode_event
from stream.ingest import Ingest
from stream.letters import read_letter
from stream.parse import parse_event, parse_item, parse_item_key, parse_request
from stream.parse_time import AHEAD_MS, EARLIEST_MS
from stream.replayed import Mark, source_of, unmark
from tests.hostile import HOSTILE, NOW_MS, VALID, huge, mutants

SEED = 20_260_501
MUTANTS = 100_000
RUN_RECORDS = 4_000
EVENT_TOPICS = ("clicks", "purchases", "reviews")
LIMIT_BYTES = MAX_LETTER_BYTES

PARSERS: dict[str, Callable[[bytes | None], Any]] = {
    "clicks": lambda value: parse_event("clicks", value, "s-0-1", NOW_MS, NOW_MS),
    "purchases": lambda value: parse_event("purchases", value, "s-0-1", NOW_MS, NOW_MS),
    "reviews": lambda value: parse_event("reviews", value, "s-0-1", NOW_MS, NOW_MS),
    "items": lambda value: parse_item(PlainRecord(None, value, 0)),
    "requests": lambda value: parse_request(PlainRecord(None, value, 0)),
    "item keys": lambda value: parse_item_key(PlainRecord(value, None, 0)),
}


def outcome(topic: str, value: bytes | None) -> str:
    """Parse a record: `accepted`, or the reason of its refusal; anything else fails the test."""
    try:
        PARSERS[topic](value)
    except BadRecord as error:
        assert error.reason in get_args(Reason)
        words = str(error)
        assert len(words) < 700
        assert words.isprintable()
        return error.reason
    return "accepted"


def ingest_all(records: Iterable[tuple[str, bytes | None]]) -> Counter[str]:
    """Take records through ingest in runs; check each one's fate, and count the fates."""
    ingest = Ingest({topic: topic for topic in EVENT_TOPICS})  # type: ignore[misc]
    gathered: dict[str, list[PlainRecord]] = {topic: [] for topic in EVENT_TOPICS}
    fates: Counter[str] = Counter()
    for offset, (topic, value) in enumerate(records):
        gathered[topic].append(PlainRecord(None, value, offset, NOW_MS))
        if len(gathered[topic]) == RUN_RECORDS:
            fates += take(ingest, topic, gathered[topic])
            gathered[topic] = []
    for topic, left in gathered.items():
        if left:
            fates += take(ingest, topic, left)
    return fates


def take(ingest: Ingest, topic: str, records: list[PlainRecord]) -> Counter[str]:
    result = ingest.take(Run(topic, 0, records), NOW_MS)
    ingest.done(result)
    letters, events = result.dead_letters, result.events
    assert len(events) + result.duplicates + len(letters) == len(records)
    by_offset = {b"%d" % record.offset: record.value for record in records}
    for letter in letters:
        assert letter.value == by_offset[dict(letter.headers)["__connect.errors.offset"] or b""]
        assert letter.size <= LIMIT_BYTES
    for outgoing in events:
        event = decode_event(outgoing.value or b"")
        assert (event.user_id.encode(), event.user_id.strip()) == (outgoing.key, event.user_id)
        assert (event.user_id + event.item_id + event.event_id).isprintable()
        assert EARLIEST_MS <= event.ts_ms <= NOW_MS + AHEAD_MS
    found = {"event": len(events), "duplicate": result.duplicates, "dead letter": len(letters)}
    return Counter(found)


def test_a_hundred_thousand_damaged_records_find_their_fate() -> None:
    count, outcomes = 0, Counter[str]()
    of_events: list[tuple[str, bytes | None]] = []
    for topic, value in mutants(SEED, MUTANTS):
        count += 1
        if topic in EVENT_TOPICS:
            of_events.append((topic, value))
        else:
            outcomes[outcome(topic, value)] += 1
    fates = ingest_all(of_events)
    assert count == outcomes.total() + fates.total() == MUTANTS
    # The draw is worth something: a good part passes, and is refused for every reason.
    assert min(fates["event"] + fates["duplicate"], outcomes["accepted"]) > MUTANTS // 50
    assert fates["dead letter"] > MUTANTS // 4
    assert set(outcomes) >= {"not_json", "missing_field", "wrong_type", "bad_id", "out_of_range"}


@pytest.mark.parametrize("topic", PARSERS)
def test_the_corpus_crashes_no_parser(topic: str) -> None:
    outcomes = Counter(outcome(topic, value) for value in (None, *HOSTILE))
    assert outcomes.total() == 1 + len(HOSTILE)
    assert len(outcomes) > 1


def test_the_corpus_goes_through_ingest_with_good_records_between() -> None:
    good = VALID["clicks"][0]
    records = [("clicks", value) for bad in (None, *HOSTILE) for value in (bad, good)]
    assert ingest_all(records)["event"] > len(HOSTILE)


def test_valid_records_are_accepted() -> None:
    assert {outcome(topic, value) for topic in VALID for value in VALID[topic]} == {"accepted"}


def test_the_work_on_a_record_grows_no_faster_than_its_size() -> None:
    """Ten megabytes or half a million brackets: the next record doesn't wait long for its turn."""
    plain = VALID["clicks"][0]
    usual_s = min(parse_s("clicks", plain, 1_000) for _ in range(3)) / len(plain)
    for value in huge():
        for topic in PARSERS:
            worst_s = min(parse_s(topic, value, 1) for _ in range(2)) / len(value)
            assert worst_s < 30 * usual_s, (topic, value[:40], len(value))


def parse_s(topic: str, value: bytes, times: int) -> float:
    """CPU seconds of one parse."""
    started_s = time.process_time()
    for _ in range(times):
        outcome(topic, value)
    return (time.process_time() - started_s) / times


# Headers: of replays, and of dead letters -------------------------------------------------------

OURS = ["tidemill.dlq.source", "tidemill.dlq.first_failed_ms", "tidemill.dlq.replay_count"]
names = st.sampled_from([*OURS, "tidemill.dlq.schema", "__connect.errors.offset"]) | st.text(
    max_size=5
)
numbers = st.sampled_from(
    [b"0", b"-1", b"1" * 5_000, b"9" * 19, "\u0661".encode(), b"1e3", b"", b"0x1"]
)
places = st.sampled_from(
    [b"clicks-0-7", b"clicks-0-", b"clicks--7", b"-0-7", b"clicks-0-" + b"9" * 40, b"\xff-0-7"]
)
headers = st.lists(
    st.tuples(names, st.none() | st.binary(max_size=30) | numbers | places), max_size=6
)


@given(headers=headers, last=st.tuples(places, numbers, numbers) | st.none())
def test_no_headers_of_a_producer_stop_or_forge_anything(headers: list[Any], last: Any) -> None:
    if last is not None:
        headers = [*headers, *zip(OURS, last, strict=True)]
    record = PlainRecord(None, b"?", 42, 5, headers)
    source = source_of(record, "clicks", 3)
    _, mark = unmark(headers, "clicks")
    if mark is None:
        assert source == "clicks-3-42"
    else:
        assert mark == Mark("clicks-0-7", mark.first_failed_ms, mark.replay_count)
    fault = BadRecord("value", b"?", "JSON", "not_json")
    written = dead_letter(record, "clicks", 3, "ingest", fault, NOW_MS)
    letter = read_letter(PlainRecord(written.key, written.value, 0, 0, written.headers))
    assert (letter.source, letter.offset, letter.value) == (source, 42, b"?")


@given(headers=headers)
def test_no_record_on_dead_letters_crashes_its_readers(headers: list[Any]) -> None:
    try:
        read_letter(PlainRecord(None, None, 0, 0, headers))
    except BadRecord as error:
        assert str(error).isprintable()


# What hypothesis finds --------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=5), one, max_size=4),
    max_leaves=12,
)
FIELDS = ["user_id", "item_id", "ts", "event_id", "action", "price", "text", "filters", "category"]


@given(
    changes=st.dictionaries(st.sampled_from(FIELDS), json_values), topic=st.sampled_from([*VALID])
)
def test_good_records_with_a_field_of_any_shape(changes: dict[str, Any], topic: str) -> None:
    good = json.loads(VALID[topic][0])
    for escaped in (True, False):
        text = json.dumps(good | changes, ensure_ascii=escaped)
        outcome(topic, text.encode("utf-8", "surrogatepass"))
