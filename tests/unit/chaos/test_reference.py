"""The reference by examples whose answer a reader can see, and against the product's own parser."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.interest import projection
from stream.errors import BadRecord
from stream.events import Event, Kind, Step, json_encode
from stream.parse import parse_event
from stream.seen import item_code
from tests.chaos.reference import Place, Reference, hash_of, single_pass
from tests.chaos.reference_interest import Items, _projection
from tests.chaos.reference_raw import read_event, read_request
from tests.chaos.topic_log import Logged

NOW_MS = 1_777_626_000_000


def event(n: int, ts_ms: int, kind: Kind = "click", **more: Any) -> Event:
    return Event(
        event_id=f"e{n}",
        user_id="ann",
        item_id=f"i{n}",
        kind=kind,
        ts_ms=ts_ms,
        source=f"clicks-0-{n}",
        received_ms=ts_ms,
        **more,
    )


def passed(*events: Event, examples: Set[Place] = frozenset()) -> Reference:
    log = [
        Logged("events", 0, offset, b"ann", json_encode(one), one.received_ms)
        for offset, one in enumerate(events)
    ]
    return single_pass(log, Items(), examples)


def test_counts_sums_and_hash() -> None:
    reference = passed(
        event(1, 10),
        event(2, 20, "purchase", quantity=3, price=2.5),
        event(1, 10),
        event(3, 5, "review", rating=4.0),
    )
    ann = reference.users["ann"]
    assert ann.counts == {"view": 0, "click": 1, "cart": 0, "purchase": 1, "review": 1}
    assert (ann.quantities, ann.paid, ann.ratings) == (5, 2.5, [4.0])
    assert ann.xor == hash_of("e1") ^ hash_of("e2") ^ hash_of("e3")
    assert (ann.last_event_id, ann.first_ms, ann.last_ms) == ("e3", 5, 20)


def test_a_late_event_stands_at_its_time_and_knows_only_what_was_before() -> None:
    reference = passed(event(1, 10), event(2, 30), event(3, 20))
    assert [step.item_id for step in reference.users["ann"].steps] == ["i1", "i3", "i2"]
    example = reference.examples["ann", "e3"]
    assert example.history == (Step("i1", "click", 10),)
    assert (example.user_events, example.offset) == (2, 2)


def test_the_fifty_newest_stay_and_the_rest_leave_a_code() -> None:
    reference = passed(*(event(n, n) for n in range(53)))
    ann = reference.users["ann"]
    assert [step.item_id for step in ann.steps] == [f"i{n}" for n in range(3, 53)]
    assert b"".join(c.to_bytes(4, "little") for c in ann.seen) == b"".join(
        item_code(f"i{n}") for n in range(3)
    )
    assert reference.examples["ann", "e52"].seen == item_code("i0") + item_code("i1")


@pytest.mark.parametrize(("others", "again"), [(47, False), (48, True)])
def test_a_copy_counts_once_more_only_beyond_the_memory_of_ids(others: int, again: bool) -> None:
    events = [event(n, n) for n in range(1 + others)]
    copy = msgspec.structs.replace(events[0], source="clicks-1-0")
    made = passed(*events, copy, examples={(0, 1 + others)})
    assert made.users["ann"].events == 1 + others + again
    assert bool(made.again) == again
    assert passed(*events, copy).users["ann"].events == 1 + others


@pytest.mark.parametrize("width", [8, 64, 384])
def test_the_projection_is_that_of_the_profile(width: int) -> None:
    assert np.abs(_projection(width) - projection(width)).max() <= 2**-14


def raw(kind: str, value: bytes | None) -> tuple[str, str, frozenset[str]]:
    said = read_event(kind, Logged("t", 0, 1, None, value, NOW_MS))
    return said.source, str(said.fields.get("event_id")), said.faults


GOOD = b'{"user_id": "u", "item_id": "i", "ts": 1777626000000}'


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "empty"),
        (b"", "empty"),
        (GOOD[:-1], "not_json"),
        (b"[1]", "not_an_object"),
        (GOOD.replace(b'"i"', b"7"), "wrong_type"),
        (GOOD.replace(b'"item_id": "i", ', b""), "missing_field"),
        (GOOD.replace(b'"u"', b'" u"'), "bad_id"),
        (GOOD.replace(b'"u"', b'"a\\nb"'), "bad_id"),
        (GOOD.replace(b"1777626000000", b"5"), "bad_timestamp"),
        (GOOD.replace(b"1777626000000", b"1777626000000000"), "bad_timestamp"),
        (GOOD[:-1] + b', "quantity": 0}', "out_of_range"),
        (GOOD[:-1] + b', "price": "9"}', "wrong_type"),
    ],
)
def test_faults_of_raw_records(value: bytes | None, fault: str) -> None:
    assert raw("purchases", value) == ("t-0-1", "None", frozenset({fault}))


def test_an_event_without_an_id_is_named_for_its_place() -> None:
    assert raw("clicks", GOOD) == ("t-0-1", "t-0-1", frozenset())


JUNK: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.just("x" * 300),
    st.lists(st.integers(), max_size=2),
)
FIELDS: dict[str, Any] = {
    "user_id": st.one_of(st.just("u"), JUNK),
    "item_id": st.one_of(st.just("i"), JUNK),
    "ts": st.one_of(
        st.just(NOW_MS),
        st.integers(0, 2 * NOW_MS),
        st.sampled_from(["2026-05-01", "2026-05-01T09:00:00Z", "2026-05-01T09:00", "", "1066-1-1"]),
        JUNK,
    ),
    "event_id": st.one_of(st.none(), st.just("e"), JUNK),
    "action": st.one_of(st.sampled_from(["view", "click", "cart"]), JUNK),
    "quantity": st.one_of(st.integers(0, 3), JUNK),
    "price": st.one_of(st.none(), st.floats(-1, 2e9), JUNK),
    "rating": st.one_of(st.none(), st.floats(0, 6), JUNK),
    "title": JUNK,
    "session_id": st.one_of(st.none(), JUNK),
    "unknown": JUNK,
}


@given(
    st.sampled_from(["clicks", "purchases", "reviews"]),
    st.fixed_dictionaries(
        {name: FIELDS[name] for name in ("user_id", "item_id", "ts")},
        optional={k: v for k, v in FIELDS.items() if k not in {"user_id", "item_id", "ts"}},
    ),
)
def test_the_reference_and_the_parser_agree(
    kind: Literal["clicks", "purchases", "reviews"], fields: dict[str, Any]
) -> None:
    value = msgspec.json.encode(fields)
    said = read_event(kind, Logged("t", 0, 1, None, value, NOW_MS))
    try:
        parsed = parse_event(kind, value, "t-0-1", NOW_MS, NOW_MS)
    except BadRecord as error:
        assert error.reason in said.faults
    else:
        assert not said.faults
        have = msgspec.structs.asdict(parsed)
        assert {name: have[name] for name in said.fields} == said.fields


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        (b'{"request_id": "r", "user_id": "u", "k": 5, "filters": {"price_min": 1}}', set()),
        (b'{"request_id": "r", "k": 500}', {"missing_field", "out_of_range"}),
        (b'{"request_id": "r", "user_id": "u", "filters": [1]}', {"wrong_type"}),
        (
            b'{"request_id": "r", "user_id": "u", "filters": {"price_min": 2, "price_max": 1}}',
            {"out_of_range"},
        ),
    ],
)
def test_requests(value: bytes, faults: set[str]) -> None:
    assert read_request(Logged("requests", 0, 1, None, value, NOW_MS)).faults == faults
