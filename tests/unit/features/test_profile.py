"""The profile's promises: no event twice, no peeking, bytes and back, sensible late events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalog import Catalog
from features.interest import InterestConfig, ItemSpace
from features.profile import (
    MAX_STEPS,
    Applied,
    InterestModel,
    Place,
    apply,
    apply_all,
    features,
)
from features.profile_state import EMPTY, VERSION, Profile, decode, encode
from features.shift import DetectorState
from stream.errors import Halt
from stream.events import KINDS, Event, ItemVector, Kind, Step
from stream.seen import SEEN_MAX, item_code

ITEMS = [f"item-{n}" for n in range(8)]
START_MS = 1_700_000_000_000


class NeverShifts:
    """A detector that counts its values and finds nothing."""

    def step(self, state: DetectorState, value: float) -> tuple[DetectorState, bool]:
        return msgspec.structs.replace(state, n=state.n + 1, mean=value), False


def make_model() -> InterestModel:
    """Eight items in two categories, at right angles to each other."""
    catalog = Catalog(width=64)
    vectors = np.eye(64, dtype="<f2")
    catalog.upsert(
        [
            ItemVector(
                item_id=item_id,
                vector=vectors[n // 4].tobytes(),
                encoder="test",
                text_hash="",
                first_seen_ms=0,
                category=("Tea",) if n < 4 else ("Bikes",),
                brand=f"Brand {n % 2}",
                price=float(n),
            )
            for n, item_id in enumerate(ITEMS)
        ]
    )
    config = InterestConfig()
    return InterestModel(ItemSpace(catalog), NeverShifts(), config)


MODEL = make_model()


@dataclass(frozen=True)
class Delivered:
    """An event, and where it stands in `events`."""

    event: Event
    place: Place


def event(
    n: int,
    *,
    item: str = ITEMS[0],
    kind: Kind = "click",
    ts_ms: int | None = None,
    rating: float | None = None,
) -> Event:
    """The n-th event of the user, at second n unless told otherwise."""
    at_ms = START_MS + n * 1000
    return Event(
        event_id=f"event-{n}",
        user_id="ada",
        item_id=item,
        kind=kind,
        ts_ms=at_ms if ts_ms is None else ts_ms,
        source=f"tidemill.clicks-3-{n}",
        received_ms=at_ms,
        rating=rating,
    )


def run(profile: Profile, deliveries: list[Delivered]) -> tuple[Profile, list[Applied]]:
    """Apply one after the other, each on the state that the bytes of the last one give."""
    results = []
    for delivered in deliveries:
        applied = apply(profile, delivered.event, delivered.place, MODEL)
        results.append(applied)
        profile = decode(encode(applied.profile))
    return profile, results


@st.composite
def streams(
    draw: st.DrawFn, max_size: int = 30, min_size: int = 1, items: Sequence[str] = ITEMS
) -> list[Delivered]:
    """A user's events as `events` holds them: some late, some at the same time, mixed kinds."""
    count = draw(st.integers(min_size, max_size))
    made = []
    for n in range(count):
        kind = draw(st.sampled_from(KINDS))
        rating = draw(st.none() | st.floats(1, 5)) if kind == "review" else None
        late_s = draw(st.sampled_from([0, 0, 0, 1, 7, 100]))
        item = draw(st.sampled_from([*items, "unknown"]))
        ts_ms = START_MS + (n - late_s) * 1000
        made.append(
            Delivered(event(n, item=item, kind=kind, ts_ms=ts_ms, rating=rating), Place(1, 10 * n))
        )
    return made


@st.composite
def with_repeats(draw: st.DrawFn) -> tuple[list[Delivered], list[Delivered]]:
    """A clean stream, and the same stream as crashes make it.

    A consumer that is killed reads again from an earlier offset; an ingest that is killed writes
    again, at new offsets, from an earlier raw record on; a producer sends an event anew.
    """
    clean = draw(streams())
    seen: list[Delivered] = []
    offset = 0
    for n, delivered in enumerate(clean):
        offset += 1
        fresh = Delivered(delivered.event, Place(1, offset))
        seen.append(fresh)
        what = draw(st.sampled_from(["nothing", "nothing", "redelivery", "rewrite", "resend"]))
        back = draw(st.integers(0, len(seen) - 1))
        if what == "redelivery":
            seen.extend(sorted({d.place: d for d in seen[back:]}.values(), key=lambda d: d.place))
        elif what == "rewrite":
            for original in clean[min(back, n) : n + 1]:
                offset += 1
                seen.append(Delivered(original.event, Place(1, offset)))
        elif what == "resend":
            offset += 1
            newer = msgspec.structs.replace(
                delivered.event,
                source=f"tidemill.clicks-0-{1_000 + offset}",
                received_ms=delivered.event.received_ms + 60_000,
            )
            seen.append(Delivered(newer, Place(1, offset)))
    return clean, seen


@given(st.lists(with_repeats(), min_size=1, max_size=3), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_users_together_become_what_each_event_by_itself_makes_of_them(
    users: list[tuple[list[Delivered], list[Delivered]]], cut: int
) -> None:
    streams = [delivered for _, delivered in users]
    alone = [run(EMPTY, deliveries) for deliveries in streams]
    before = [run(EMPTY, deliveries[:cut])[0] for deliveries in streams]
    placed = [[(d.place.offset, d.event) for d in deliveries[cut:]] for deliveries in streams]
    together = apply_all(list(zip(before, placed, strict=True)), 1, MODEL)
    for (profile, results), done in zip(alone, together, strict=True):
        assert encode(done.profile) == encode(profile)
        later = [applied for applied in results[cut:] if applied.example]
        assert done.examples == [applied.example for applied in later]
        assert done.shifts == [applied.shift for applied in later if applied.shift]


def without_places(profile: Profile) -> Profile:
    """The state without the offsets, which repeats push on."""
    return msgspec.structs.replace(profile, applied=EMPTY.applied, sources={})


@given(with_repeats())
@settings(max_examples=150, deadline=None)
def test_no_event_twice(streams: tuple[list[Delivered], list[Delivered]]) -> None:
    clean, repeated = streams
    once, _ = run(EMPTY, clean)
    again, results = run(EMPTY, repeated)
    assert without_places(again) == without_places(once)
    examples = [r.example.event_id for r in results if r.example is not None]
    assert examples == [d.event.event_id for d in clean]


@given(streams(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_replay_from_anywhere_changes_nothing(
    stream: list[Delivered], data: st.DataObject
) -> None:
    once, _ = run(EMPTY, stream)
    start = data.draw(st.integers(0, len(stream) - 1))
    again, results = run(once, stream[start:])
    assert again == once
    assert all(r.example is None and r.shift is None for r in results)


@given(streams(max_size=70))
@settings(max_examples=50, deadline=None)
def test_no_peeking(stream: list[Delivered]) -> None:
    profile = EMPTY
    earlier: list[Event] = []
    for delivered in stream:
        applied = apply(profile, delivered.event, delivered.place, MODEL)
        example = applied.example
        assert example is not None
        assert example.user_events == len(earlier)
        assert all(step.ts_ms <= delivered.event.ts_ms for step in example.history)
        times = [step.ts_ms for step in example.history]
        assert times == sorted(times)
        known = {(e.item_id, e.kind, e.ts_ms, e.rating) for e in earlier}
        assert all(tuple(msgspec.structs.astuple(step)) in known for step in example.history)
        profile = applied.profile
        earlier.append(delivered.event)


def codes(seen: bytes) -> list[bytes]:
    """The codes of items, one by one."""
    return [seen[at : at + 4] for at in range(0, len(seen), 4)]


@given(streams(min_size=60, max_size=110, items=[f"film-{n}" for n in range(60)]))
@settings(max_examples=20, deadline=None)
def test_history_and_seen_are_all_that_the_user_had_before(stream: list[Delivered]) -> None:
    _, results = run(EMPTY, stream)
    for n, applied in enumerate(results):
        example = applied.example
        assert example is not None
        before = {item_code(d.event.item_id) for d in stream[:n] if d.event.ts_ms <= example.ts_ms}
        kept = {item_code(step.item_id) for step in example.history}
        seen = codes(example.seen)
        assert len(seen) == len(set(seen))
        if example.history:
            assert kept | set(seen) == before
        else:  # too late for anyone to know
            assert not seen


def test_an_event_before_all_that_is_kept_does_not_see_what_may_have_come_after_it() -> None:
    stream = [Delivered(event(n, item=f"film-{n}"), Place(0, n)) for n in range(1, MAX_STEPS + 3)]
    late = Delivered(event(99, item="film-0", ts_ms=START_MS), Place(0, 99))
    profile, results = run(EMPTY, [*stream, late])
    assert results[-1].example is not None
    assert (results[-1].example.history, results[-1].example.seen) == ((), b"")
    assert codes(profile.seen) == [item_code(f"film-{n}") for n in (1, 2, 0)]


def test_of_very_many_items_the_newest_are_remembered_by_code() -> None:
    stream = [Delivered(event(n, item=f"film-{n}"), Place(0, n)) for n in range(700)]
    profile, results = run(EMPTY, stream)
    last = results[-1].example
    assert last is not None
    older = [item_code(f"film-{n}") for n in range(699 - MAX_STEPS)]
    assert codes(last.seen) == older[-SEEN_MAX:]
    assert features("ada", profile).seen == profile.seen
    assert len(encode(profile)) <= 2048 + 4 * SEEN_MAX


@given(streams(max_size=60))
@settings(max_examples=50, deadline=None)
def test_how_runs_are_cut_makes_no_difference(stream: list[Delivered]) -> None:
    saved_each_time, _ = run(EMPTY, stream)
    kept_in_memory = EMPTY
    for delivered in stream:
        kept_in_memory = apply(kept_in_memory, delivered.event, delivered.place, MODEL).profile
    assert encode(kept_in_memory) == encode(saved_each_time)


@given(streams(max_size=60))
@settings(max_examples=50, deadline=None)
def test_bytes_and_back(stream: list[Delivered]) -> None:
    profile = EMPTY
    for delivered in stream:
        profile = apply(profile, delivered.event, delivered.place, MODEL).profile
    assert decode(encode(profile)) == profile


def test_a_full_state_stays_within_two_kib() -> None:
    profile = EMPTY
    for n in range(500):
        kind = KINDS[n % 4]
        clicked = msgspec.structs.replace(
            event(n, item=ITEMS[n % 8], kind=kind), source=f"tidemill.clicks-3-{n}"
        )
        profile = apply(profile, clicked, Place(1, n), MODEL).profile
    assert len(profile.steps) == MAX_STEPS
    assert profile.events == 500
    assert len(encode(profile)) <= 2048


def test_a_late_event_takes_its_place_in_time() -> None:
    stream = [
        Delivered(event(n, item=ITEMS[n], ts_ms=START_MS + at), Place(0, n))
        for n, at in enumerate([10, 20, 15])
    ]
    profile, results = run(EMPTY, stream)
    assert [step.item_id for step in profile.steps] == ["item-0", "item-2", "item-1"]
    late = results[2].example
    assert late is not None
    assert [step.item_id for step in late.history] == ["item-0"]
    assert profile.last_ms == START_MS + 20
    assert profile.last_event_id == "event-2"


def test_an_ingest_that_writes_a_whole_backlog_again_changes_nothing() -> None:
    backlog = [event(n) for n in range(300)]  # far more than event ids are remembered
    first = [Delivered(e, Place(0, n)) for n, e in enumerate(backlog)]
    again = [Delivered(e, Place(0, 300 + n)) for n, e in enumerate(backlog)]
    once, _ = run(EMPTY, first)
    twice, results = run(once, again)
    assert twice == once
    assert not [r for r in results if r.example is not None]


def test_a_backlog_from_raw_topics_keyed_by_nothing_may_be_written_again_too() -> None:
    backlog = [
        msgspec.structs.replace(event(n), source=f"tidemill.{kind}-{n % 8}-{n}")
        for n in range(300)
        for kind in [("clicks", "purchases", "reviews")[n % 3]]
    ]
    once, _ = run(EMPTY, [Delivered(e, Place(0, n)) for n, e in enumerate(backlog)])
    twice, results = run(once, [Delivered(e, Place(0, 300 + n)) for n, e in enumerate(backlog)])
    assert without_places(twice) == without_places(once)
    assert not [r for r in results if r.example is not None]


def test_a_producers_copy_may_be_written_again_when_its_id_is_forgotten() -> None:
    copy = msgspec.structs.replace(event(0), source="tidemill.clicks-0-7")
    stream = [event(0), copy, *(event(n) for n in range(1, 100)), copy]
    _, results = run(EMPTY, [Delivered(e, Place(0, n)) for n, e in enumerate(stream)])
    assert [n for n, r in enumerate(results) if r.example is None] == [1, 101]


def test_a_redelivered_backlog_changes_nothing_wherever_it_came_from() -> None:
    backlog = [  # a source without an offset, and more events than ids are remembered
        Delivered(msgspec.structs.replace(event(n), source="import"), Place(0, n))
        for n in range(300)
    ]
    once, _ = run(EMPTY, backlog)
    twice, results = run(once, backlog)
    assert twice == once
    assert not [r for r in results if r.example is not None]


def test_a_topic_that_was_made_anew_is_not_taken_for_a_repeat() -> None:
    profile, _ = run(EMPTY, [Delivered(event(100), Place(0, 100))])
    anew = msgspec.structs.replace(
        event(200), event_id="tidemill.clicks-3-5", source="tidemill.clicks-3-5"
    )
    applied = apply(profile, anew, Place(0, 3), MODEL)
    assert applied.example is not None
    assert applied.profile.events == 2


@pytest.mark.parametrize(("stars", "towards"), [(1.0, 0.0), (5.0, 0.2)])
def test_a_bad_review_does_not_pull_towards_its_item(stars: float, towards: float) -> None:
    tea = [Delivered(event(n, kind="purchase"), Place(0, n)) for n in range(10)]
    review = Delivered(event(10, item="item-4", kind="review", rating=stars), Place(0, 10))
    before, _ = run(EMPTY, tea)
    after, _ = run(before, [review])
    towards_bikes = MODEL.space.facts("item-4").vector_D
    assert towards_bikes is not None
    assert float(after.interests.vectors()[0] @ towards_bikes) >= towards
    if stars == 1.0:
        assert after.interests == before.interests


def test_the_row_says_what_was_done() -> None:
    profile, _ = run(
        EMPTY,
        [
            Delivered(event(0, item="item-1"), Place(0, 0)),
            Delivered(event(1, item="item-3", kind="purchase"), Place(0, 1)),
            Delivered(event(2, item="item-3", kind="review", rating=2.0), Place(0, 2)),
        ],
    )
    row = features("ada", profile)
    assert (row.events, row.clicks, row.purchases, row.reviews) == (3, 1, 1, 1)
    assert (row.top_category, row.top_brand) == ("Tea", "Brand 1")
    assert row.mean_price == pytest.approx((1 + 3 + 3) / 3)
    assert (row.mean_rating, row.mean_sentiment) == (2.0, -0.5)
    assert row.recent_items == ("item-1", "item-3", "item-3")
    assert row.recent_ratings == (0.0, 0.0, 2.0)
    assert len(row.short_vector) == len(row.long_vector) == 64
    assert (row.last_event_id, row.updated_ms) == ("event-2", START_MS + 2000)


def test_the_row_of_an_unknown_item_has_no_vectors() -> None:
    profile, _ = run(EMPTY, [Delivered(event(0, item="unknown"), Place(0, 0))])
    row = features("ada", profile)
    assert row.short_vector == row.long_vector == ()
    assert profile.steps == (Step("unknown", "click", START_MS),)


def test_a_newer_state_stops_the_process() -> None:
    newer = msgspec.msgpack.encode([VERSION + 1, "laid out otherwise"])
    with pytest.raises(Halt, match=r"state version 5, this program knows 4: start the newer"):
        decode(newer)


def test_states_of_older_releases_are_read() -> None:
    profile, _ = run(EMPTY, [Delivered(event(n), Place(0, n)) for n in range(3)])
    columns = msgspec.msgpack.decode(encode(profile))
    assert columns[0] == VERSION
    assert columns[-3] == b""  # the older items, which version 1 had not
    assert decode(msgspec.msgpack.encode([3, *columns[1:-1]])) == profile
    assert decode(msgspec.msgpack.encode([2, *columns[1:-2]])) == profile
    assert decode(msgspec.msgpack.encode([1, *columns[1:-3]])) == profile


def test_foreign_bytes_stop_the_process() -> None:
    with pytest.raises(Halt, match=r"can't be read .* 9 bytes"):
        decode(b"not these")
