"""Each raw record has exactly one fate, and none is lost or doubled by a failure."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.batching import PlainRecord, Run
from stream.errors import BadRecord
from stream.events import decode_event
from stream.ingest import Ingest, IngestConfig, IngestResult
from stream.parse import TopicKind
from stream.replayed import Mark

NOW_MS = 1_777_626_000_000
KINDS: dict[str, TopicKind] = {"t.clicks": "clicks", "t.purchases": "purchases"}


def click(
    user: str, event_id: str | None = None, offset: int = 0, timestamp: int = 0
) -> PlainRecord:
    fields = {"user_id": user, "item_id": "tea", "ts": NOW_MS}
    value = msgspec.json.encode(fields | ({"event_id": event_id} if event_id else {}))
    return PlainRecord(b"any key", value, offset, timestamp)


def ids(result: IngestResult) -> list[str]:
    return [decode_event(event.value or b"").event_id for event in result.events]


def run_of(*records: PlainRecord, topic: str = "t.clicks", partition: int = 0) -> Run:
    return Run(topic, partition, records)


def test_events_are_keyed_by_user_and_named_after_their_place() -> None:
    records = [click("ann", offset=7), click("bob", "b1", offset=8)]
    result = Ingest(KINDS).take(run_of(*records, partition=3), NOW_MS)
    assert [event.key for event in result.events] == [b"ann", b"bob"]
    assert ids(result) == ["t.clicks-3-7", "b1"]
    assert decode_event(result.events[1].value or b"").source == "t.clicks-3-8"


def test_a_replayed_event_is_the_one_that_it_was_at_its_first_place() -> None:
    ingest = Ingest(KINDS)
    mark = Mark("t.clicks-3-7", NOW_MS, 0)
    again = click("ann", offset=90)._replace(headers=mark.headers)
    first = ingest.take(run_of(again, again._replace(offset=91), partition=3), NOW_MS)
    assert (ids(first), first.duplicates) == (["t.clicks-3-7"], 1)
    assert decode_event(first.events[0].value or b"").source == "t.clicks-3-7"


@pytest.mark.parametrize(
    ("timestamp", "received_ms"),
    [(NOW_MS - 50, NOW_MS - 50), (-1, NOW_MS), (0, NOW_MS), (NOW_MS + 9_999, NOW_MS)],
)
def test_freshness_counts_from_the_records_own_time_where_it_has_one(
    timestamp: int, received_ms: int
) -> None:
    result = Ingest(KINDS).take(run_of(click("ann", timestamp=timestamp)), NOW_MS)
    assert decode_event(result.events[0].value or b"").received_ms == received_ms


def test_a_copy_is_dropped_in_the_same_run_in_a_later_one_and_on_another_topic() -> None:
    ingest = Ingest(KINDS)
    first = ingest.take(run_of(click("ann", "e"), click("ann", "e"), click("bob", "e")), NOW_MS)
    assert (len(first.events), first.duplicates) == (2, 1)
    ingest.done(first)
    assert ingest.take(run_of(click("ann", "e"), partition=1), NOW_MS).duplicates == 1
    assert ingest.take(run_of(click("ann", "e"), topic="t.purchases"), NOW_MS).duplicates == 1


def test_a_run_that_failed_is_not_taken_for_its_own_duplicate() -> None:
    ingest = Ingest(KINDS)
    run = run_of(click("ann", "e1"), click("ann", "e2"))
    ingest.abandon(ingest.take(run, NOW_MS))
    again = ingest.take(run, NOW_MS)
    assert (ids(again), again.duplicates) == (["e1", "e2"], 0)
    ingest.done(again)
    assert ingest.take(run, NOW_MS).duplicates == 2


def test_a_copy_of_what_is_in_flight_is_a_duplicate_already() -> None:
    ingest = Ingest(KINDS)
    ingest.take(run_of(click("ann", "e")), NOW_MS)
    assert ingest.take(run_of(click("ann", "e"), partition=1), NOW_MS).duplicates == 1


def test_a_run_redelivered_after_it_was_published_adds_nothing() -> None:
    ingest = Ingest(KINDS)
    run = run_of(click("ann", offset=1), click("bob", offset=2))
    ingest.done(ingest.take(run, NOW_MS))
    again = ingest.take(run, NOW_MS)
    assert (again.events, again.duplicates) == ([], 2)


def test_refused_records_become_dead_letters_by_reason() -> None:
    records = [PlainRecord(b"k", b"?", 5), PlainRecord(None, None, 6), click("ann", offset=7)]
    result = Ingest(KINDS).take(run_of(*records, partition=2), NOW_MS)
    assert result.refused == {"not_json": 1, "empty": 1}
    places = [dict(letter.headers)["__connect.errors.offset"] for letter in result.dead_letters]
    assert places == [b"5", b"6"]
    assert len(result.events) == 1


def test_an_event_that_the_broker_refuses_becomes_a_dead_letter() -> None:
    ingest = Ingest(KINDS)
    run = run_of(click("ann", "e1", 1), click("bob", "e2", 2), click("cid", "e3", 3))
    result = ingest.take(run, NOW_MS)
    ingest.refuse(result, 1, BadRecord("value", "2 MB", "less", "too_large"), NOW_MS)
    ingest.done(result)
    assert ids(result) == ["e1", "e3"]
    assert dict(result.dead_letters[0].headers)["__connect.errors.offset"] == b"2"
    assert len(ingest.take(run, NOW_MS).events) == 1


def test_what_is_forgotten_passes_again() -> None:
    ingest = Ingest(KINDS, IngestConfig(seen_events=1))
    for event_id in ("e1", "e2", "e3"):
        ingest.done(ingest.take(run_of(click("ann", event_id)), NOW_MS))
    assert ids(ingest.take(run_of(click("ann", "e1")), NOW_MS)) == ["e1"]


RECORDS = st.sampled_from(["ann 1", "ann 2", "bob 1", "bad"])


@given(runs=st.lists(st.lists(RECORDS, min_size=1, max_size=6)), fails=st.lists(st.booleans()))
def test_every_event_is_published_once_however_runs_fail(
    runs: list[list[str]], fails: list[bool]
) -> None:
    """Runs come again after each failure; a failed run published nothing."""
    ingest, offsets, published, letters = Ingest(KINDS), itertools.count(), [], 0
    failing = iter(fails)
    for names in runs:
        records = []
        for name in names:
            user, _, event_id = name.partition(" ")
            offset = next(offsets)
            bad = PlainRecord(None, b"?", offset)
            records.append(click(user, event_id, offset) if event_id else bad)
        while next(failing, False):
            ingest.abandon(ingest.take(run_of(*records), NOW_MS))
        result = ingest.take(run_of(*records), NOW_MS)
        ingest.done(result)
        assert len(result.events) + result.duplicates + len(result.dead_letters) == len(names)
        published += result.keys
        letters += len(result.dead_letters)
    sent = list(itertools.chain.from_iterable(runs))
    assert sorted(published) == sorted({(n.split()[0], n.split()[1]) for n in sent if n != "bad"})
    assert letters == sent.count("bad")
