"""What reviews say, kept beside their stars: in any order, each once, and what that moves."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.readings import (
    MAX_READ,
    NOTHING_READ,
    Readings,
    add,
    as_read,
    counts_as,
    mean_sentiment,
    praise_moved,
)
from stream.events import Reading, Sentiment, Step


def reading(
    item: str, ts_ms: int, rating: float, doubt: float = 0.0, stars: float | None = None
) -> Reading:
    sentiment: Sentiment = "positive" if rating > 3 else "negative"
    return Reading(
        event_id=f"e-{ts_ms}-{item}",
        user_id="ada",
        item_id=item,
        ts_ms=ts_ms,
        received_ms=ts_ms,
        partition=0,
        offset=ts_ms,
        rating=rating,
        sentiment=sentiment,
        doubt=doubt,
        stars=stars,
    )


def keep(readings: Sequence[Reading]) -> Readings:
    kept = NOTHING_READ
    for one in readings:
        kept = add(kept, one)
    return kept


READINGS = st.lists(
    st.builds(
        reading,
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 60),
        st.floats(1, 5),
    ),
    max_size=60,
    unique_by=lambda one: (one.ts_ms, one.item_id),
)


@given(READINGS, st.randoms())
def test_order_and_repeats_make_no_difference(readings: list[Reading], random: object) -> None:
    again = [*readings, *readings]
    random.shuffle(again)  # type: ignore[attr-defined]
    assert keep(again) == keep(readings)


@given(READINGS)
def test_the_newest_are_kept(readings: list[Reading]) -> None:
    kept = keep(readings).read
    newest = sorted((one.ts_ms, one.item_id) for one in readings)[-MAX_READ:]
    assert [(one.ts_ms, one.item_id) for one in kept] == newest


@given(st.floats(1, 5), st.floats(0, 1), st.none() | st.floats(1, 5))
def test_it_counts_as_stars(rating: float, doubt: float, stars: float | None) -> None:
    counted = counts_as(reading("a", 0, rating, doubt, stars))
    assert 1 <= counted <= 5


def test_five_stars_with_a_complaint_count_as_the_complaint() -> None:
    assert counts_as(reading("a", 0, 1.5, doubt=0.0, stars=5.0)) == 1.5
    assert counts_as(reading("a", 0, 1.5, doubt=1.0, stars=5.0)) == 5.0
    assert counts_as(reading("a", 0, 1.5, doubt=1.0)) == 3.0


def test_only_the_review_counts_as_it_reads() -> None:
    steps = (
        Step("a", "purchase", 10),
        Step("a", "review", 20, 5.0),
        Step("b", "review", 20, 4.0),
    )
    kept = keep([reading("a", 20, 2.0)])
    assert [step.rating for step in as_read(steps, kept)] == [None, 2.0, 4.0]
    assert as_read(steps, NOTHING_READ) is steps
    assert mean_sentiment(kept) == -0.5
    assert mean_sentiment(NOTHING_READ) is None


def shifted(tea: float, bikes: float, of: int = 12, then: int = 6) -> tuple[Readings, list[str]]:
    """Reviews of tea and bikes in turn; what is praised changes places after `of` of each."""
    made, names = [], []
    for n in range(of + then):
        first, second = (tea, bikes) if n < of else (bikes, tea)
        made += [reading("tea-1", 2 * n, first), reading("bike-1", 2 * n + 1, second)]
        names += ["Tea", "Bikes"]
    kept = keep(made)
    return kept, names[-len(kept.read) :]


def test_praise_that_changes_places_is_a_shift_though_both_are_reviewed_alike() -> None:
    kept, names = shifted(4.8, 1.4, then=8)
    found = praise_moved(kept, names, least=2.0, window=14)
    assert found is not None
    assert (found.move.from_category, found.move.to_category) == ("Tea", "Bikes")
    assert found.move.evidence == ("bike-1",)
    assert praise_moved(found.readings, names, least=2.0, window=14) is None, "reported once"


@pytest.mark.parametrize("then", [0, 1])
def test_no_shift_before_there_is_evidence(then: int) -> None:
    kept, names = shifted(4.8, 1.4, then=then)
    assert praise_moved(kept, names, least=8.0, window=10) is None


def test_praise_of_everything_is_no_shift() -> None:
    kept, names = shifted(4.8, 4.8, then=8)
    assert praise_moved(kept, names, least=4.0, window=10) is None


def test_the_state_of_a_reviewer_stays_small() -> None:
    kept = keep([reading(f"item-{n:06}", 1_700_000_000_000 + n, 4.25) for n in range(100)])
    assert len(msgspec.msgpack.encode(kept)) < 1_000
