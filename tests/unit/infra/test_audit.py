from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from infra.demo.audit import (
    EventsRead,
    read_answers,
    read_events,
    read_examples,
    read_sent,
    refused_places,
    request_ids,
)
from infra.demo.fates import Place, Sent, decide, source_name
from infra.demo.figures import Figures, summary
from infra.demo.freshness import (
    Answer,
    Applied,
    events_to_answers_ms,
    events_to_weights_s,
    first_use_ms,
    percentile,
)
from infra.demo.reading import Placed
from stream.batching import PlainRecord
from stream.events import Event, Example, Recommendation, json_encode, msgpack_encode


def click(offset: int) -> Place:
    return Place("shop.clicks", 0, offset)


def on_events(origins: Sequence[tuple[str, str, Place]]) -> list[Placed]:
    """Events of (user, event id, raw record), as they lie on partition 0 of `events`."""
    return [
        Placed(
            Place("shop.events", 0, offset),
            PlainRecord(
                user.encode(),
                json_encode(
                    Event(
                        event_id=event_id,
                        user_id=user,
                        item_id="tea",
                        kind="click",
                        ts_ms=1,
                        source=source_name(origin),
                        received_ms=1,
                    )
                ),
                offset,
            ),
        )
        for offset, (user, event_id, origin) in enumerate(origins)
    ]


def read(*origins: tuple[str, str, Place]) -> EventsRead:
    return read_events(on_events(origins), {})


def test_each_record_has_the_fate_that_the_topics_show() -> None:
    sent = [
        Sent(click(0), ("ann", "e1")),
        Sent(click(1), ("ann", "e1")),  # sent twice
        Sent(click(2), None),  # not JSON
        Sent(click(3), ("bob", "e1")),  # the same id, another user: no duplicate
    ]
    events = read(("ann", "e1", click(0)), ("bob", "e1", click(3)))

    fates = decide(sent, events.accepted, {click(2)})

    assert (fates.accepted, fates.duplicates, fates.dead_letters) == (2, 1, 1)
    assert fates.lost == []
    assert fates.events == len(sent)


def test_what_a_killed_role_wrote_again_counts_once() -> None:
    sent = [Sent(click(0), ("ann", "e1")), Sent(click(1), ("ann", "e2"))]
    first, second = ("ann", "e1", click(0)), ("ann", "e2", click(1))

    events = read(first, second, first, second)
    fates = decide(sent, events.accepted, set())

    assert (fates.accepted, fates.duplicates, fates.dead_letters) == (2, 0, 0)
    assert events.repeats == 2
    assert [event.event_id for event in events.mine] == ["e1", "e2"]


def test_a_duplicate_that_ingest_let_through_is_still_a_duplicate() -> None:
    sent = [Sent(click(0), ("ann", "e1")), Sent(click(1), ("ann", "e1"))]
    events = read(("ann", "e1", click(0)), ("ann", "e1", click(1)))

    fates = decide(sent, events.accepted, set())

    assert (fates.accepted, fates.duplicates) == (1, 1)
    assert events.repeats == 0


def test_a_record_that_is_nowhere_is_lost_and_named() -> None:
    fates = decide([Sent(click(0), ("ann", "e1")), Sent(click(1), None)], {}, set())

    assert fates.lost == [click(0), click(1)]
    assert fates.events == 2


def test_an_event_of_an_earlier_run_makes_todays_a_duplicate_but_is_not_counted() -> None:
    yesterday, today = click(0), click(1)
    placed = on_events([("ann", "e1", yesterday), ("ann", "e2", today)])

    events = read_events(placed, {("shop.events", 0): 1})
    fates = decide([Sent(click(2), ("ann", "e1"))], events.accepted, set())

    assert [event.event_id for event in events.mine] == ["e2"]
    assert (fates.events, fates.duplicates) == (1, 1)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.sampled_from("good bad".split()))
    ),
    st.integers(1, 3),
)
def test_fates_add_up_however_often_a_role_repeats_its_work(
    traffic: list[tuple[str, int, str]], repeats: int
) -> None:
    sent = [
        Sent(click(offset), (user, f"e{number}") if quality == "good" else None)
        for offset, (user, number, quality) in enumerate(traffic)
    ]
    written = [(*one.key, one.place) for one in sent if one.key] * repeats
    refused = {one.place for one in sent if one.key is None}

    fates = decide(sent, read(*written).accepted, refused)

    assert fates.events == len(traffic)
    assert fates.lost == []
    assert fates.accepted == len({one.key for one in sent if one.key})
    assert fates.dead_letters == len(refused)


def test_a_raw_record_is_read_by_the_rules_of_ingest() -> None:
    good = b'{"user_id": "ann", "item_id": "tea", "ts": 1700000000000, "event_id": "e1"}'
    nameless = b'{"user_id": "ann", "item_id": "tea", "ts": 1700000000000}'
    kept = [good, nameless, b"rubbish", None]
    sent = [
        read_sent("clicks", Placed(click(n), PlainRecord(None, value, n, 1_700_000_000_000)))
        for n, value in enumerate(kept)
    ]

    assert [one.key for one in sent] == [("ann", "e1"), ("ann", "shop.clicks-0-1"), None, None]


def test_dead_letters_name_the_place_that_they_came_from() -> None:
    headers = [
        ("__connect.errors.topic", b"shop.clicks"),
        ("__connect.errors.partition", b"0"),
        ("__connect.errors.offset", b"7"),
    ]
    letter = Placed(Place("shop.dead-letters", 2, 5), PlainRecord(b"", b"?", 5, 0, headers))

    assert refused_places([letter, letter]) == {click(7)}


def test_an_example_that_was_written_twice_is_one() -> None:
    example = Example(
        event_id="e1",
        user_id="ann",
        item_id="tea",
        kind="click",
        ts_ms=1,
        received_ms=5,
        partition=0,
        offset=9,
        history=(),
        user_events=0,
    )
    placed = [
        Placed(Place("shop.examples", 0, n), PlainRecord(b"ann", msgpack_encode(example), n))
        for n in range(2)
    ]

    examples, seen = read_examples(placed, {})

    assert examples == [Applied("ann", "e1", 5, 0, 9)]
    assert seen == {("ann", "e1")}


def test_a_request_is_answered_once_its_id_is_among_the_recommendations() -> None:
    def answer(name: str, request: str | None) -> Recommendation:
        return Recommendation(
            recommendation_id=name,
            request_id=request,
            user_id="ann",
            ts_ms=1,
            items=(),
            path="no_model",
            model_version=None,
            trigger="request" if request else "event",
        )

    sent = [answer("r1", "q1"), answer("r1", "q1"), answer("r2", None)]
    answers = read_answers(
        Placed(Place("shop.recommendations", 0, n), PlainRecord(b"ann", json_encode(one), n))
        for n, one in enumerate(sent)
    )
    asked = [b'{"request_id": "q1"}', b"rubbish", b'{"request_id": "q2"}']
    placed = [
        Placed(Place("shop.requests", 0, n), PlainRecord(b"ann", value, n))
        for n, value in enumerate(asked)
    ]

    assert (answers.ids, answers.pushed, answers.answered) == ({"r1", "r2"}, {"r2"}, {"q1"})
    assert request_ids(placed, {Place("shop.requests", 0, 1)}) == ["q1", "q2"]


WELL = Figures(
    events=10,
    accepted=7,
    duplicates=2,
    dead_letters=1,
    lost=0,
    repeats=0,
    dead_letters_elsewhere={},
    examples=7,
    unprofiled=0,
    requests=3,
    unanswered=0,
    recommendations=3,
    pushed=0,
    lag={"shop.clicks": 0},
    adapter_versions=1,
    adapter_version=1,
    shifts=0,
    ndcg10=None,
    ndcg10_popularity=None,
    ndcg10_from="adapters",
    event_to_recommendation_ms=summary([], 50, 99),
    event_to_weights_s=summary([], 50, 95),
)


def test_a_run_without_losses_has_no_faults() -> None:
    assert WELL.faults() == []


def test_each_fault_is_said_in_words() -> None:
    bad = replace(WELL, accepted=6, lost=1, unprofiled=2, unanswered=1, lag={"shop.clicks": 4})

    lost, unprofiled, unanswered, unread = bad.faults()
    assert lost.startswith("1 of 10 events")
    assert unprofiled.startswith("2 accepted events")
    assert unanswered == "1 of 3 requests got no recommendation"
    assert "'shop.clicks': 4" in unread


def test_an_event_is_answered_by_the_first_answer_that_has_seen_it() -> None:
    events = [
        Applied("ann", "e1", received_ms=100, partition=0, offset=0),
        Applied("bob", "e1", received_ms=110, partition=0, offset=1),
        Applied("ann", "e2", received_ms=200, partition=0, offset=2),
    ]
    answers = [
        Answer("ann", 90, None, None),  # an answer to a user without history sees nothing
        Answer("ann", 150, "e1", None),
        Answer("ann", 180, "e1", None),  # not the first
        Answer("ann", 260, "e2", None),
    ]

    assert sorted(events_to_answers_ms(events, answers)) == [50, 60]  # bob got none


def test_one_debounced_answer_covers_all_events_before_it() -> None:
    events = [Applied("ann", f"e{n}", 100 * n, 0, n) for n in range(3)]

    assert events_to_answers_ms(events, [Answer("ann", 250, "e2", None)]) == [250, 150, 50]


def test_an_answer_that_has_seen_an_unknown_event_is_ignored() -> None:
    assert events_to_answers_ms([Applied("ann", "e1", 1, 0, 0)], [Answer("ann", 2, "x", 1)]) == []


def test_weights_count_from_the_first_answer_made_with_them() -> None:
    examples = [
        Applied("ann", "e1", 0, partition=0, offset=5),
        Applied("bob", "e1", 1_000, partition=1, offset=7),
        Applied("bob", "e2", 2_000, partition=1, offset=8),
        Applied("cat", "e1", 3_000, partition=0, offset=6),
    ]
    versions = {1: {0: 6, 1: 7}, 2: {0: 6, 1: 8}, 3: {0: 6, 1: 9}}
    answers = [Answer("x", 4_000, None, 1), Answer("x", 9_000, None, 3)]

    # ann's is in version 1, bob's two in 2 and 3, first used at 9 s; no version has cat's.
    assert sorted(events_to_weights_s(examples, versions, answers)) == [4.0, 7.0, 8.0]


def test_a_version_that_was_skipped_counts_as_used_with_the_next() -> None:
    answers = [Answer("x", 1, None, 1), Answer("x", 5, None, 4), Answer("x", 9, None, 2)]

    assert first_use_ms(answers) == {1: 1, 2: 5, 3: 5, 4: 5}


def test_percentiles_are_values_that_occurred() -> None:
    values = list(range(1, 101))

    assert [percentile(values, q) for q in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([7], 1) == 7
