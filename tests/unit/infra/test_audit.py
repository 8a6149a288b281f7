from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infra.demo.fates import Place, Sent, Written, accepted_sources, decide, source_name
from infra.demo.freshness import (
    Answer,
    Applied,
    events_to_answers_ms,
    events_to_weights_s,
    first_use_ms,
    percentile,
)


def click(offset: int) -> Place:
    return Place("shop.clicks", 0, offset)


def test_each_record_has_the_fate_that_the_topics_show() -> None:
    sent = [
        Sent(click(0), ("ann", "e1")),
        Sent(click(1), ("ann", "e1")),  # sent twice
        Sent(click(2), None),  # not JSON
        Sent(click(3), ("bob", "e1")),  # the same id, another user: no duplicate
    ]
    written = [
        Written(("ann", "e1"), source_name(click(0))),
        Written(("bob", "e1"), source_name(click(3))),
    ]

    fates = decide(sent, accepted_sources(written), {click(2)})

    assert (fates.accepted, fates.duplicates, fates.dead_letters) == (2, 1, 1)
    assert fates.lost == []
    assert fates.events == len(sent)


def test_what_a_killed_role_wrote_again_counts_once() -> None:
    event = Written(("ann", "e1"), source_name(click(0)))
    sent = [Sent(click(0), ("ann", "e1")), Sent(click(1), ("ann", "e2"))]
    second = Written(("ann", "e2"), source_name(click(1)))

    fates = decide(sent, accepted_sources([event, second, event, second]), set())

    assert (fates.accepted, fates.duplicates, fates.dead_letters) == (2, 0, 0)


def test_a_duplicate_that_ingest_let_through_is_still_a_duplicate() -> None:
    sent = [Sent(click(0), ("ann", "e1")), Sent(click(1), ("ann", "e1"))]
    written = [
        Written(("ann", "e1"), source_name(click(0))),
        Written(("ann", "e1"), source_name(click(1))),
    ]

    fates = decide(sent, accepted_sources(written), set())

    assert (fates.accepted, fates.duplicates) == (1, 1)


def test_a_record_that_is_nowhere_is_lost_and_named() -> None:
    fates = decide([Sent(click(0), ("ann", "e1")), Sent(click(1), None)], {}, set())

    assert fates.lost == [click(0), click(1)]
    assert fates.events == 2


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
    written = [Written(one.key, source_name(one.place)) for one in sent if one.key] * repeats
    refused = {one.place for one in sent if one.key is None}

    fates = decide(sent, accepted_sources(written), refused)

    assert fates.events == len(traffic)
    assert fates.lost == []
    assert fates.accepted == len({one.key for one in sent if one.key})
    assert fates.dead_letters == len(refused)


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
