"""Profiles in the changelog and rows in the online store, against the reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isclose
from typing import Any

import numpy as np

from features.profile_state import Profile, decode
from features.store import UserFeatures
from stream.events import KINDS, Example
from tests.chaos.findings import Findings
from tests.chaos.reference import IDS, EventKey, Reference, User, hash_of
from tests.chaos.reference_interest import TOLERANCE, Vector, favourite
from tests.chaos.topic_log import Logged
from tests.chaos.verdict_records import shown

CLOSE = 1e-6
"""Relative, of running means against means; a missed event shows far above it."""

Wrong = Iterator[tuple[str, object, object]]
"""What differs, as it is, and as it should be."""


def newest_states(changelog: Iterable[Logged], findings: Findings) -> dict[str, Profile]:
    """The newest value of every key of the table's changelog."""
    values: dict[bytes, Logged] = {}
    for record in changelog:
        key = record.key or b""
        known = values.get(key)
        if known is not None and known.partition != record.partition:
            findings.note("state_mismatches", f"{key!r} has states on two partitions")
        values[key] = record
    return {
        key.decode(): decode(record.value)
        for key, record in values.items()
        if record.value is not None
    }


def judge_states(
    states: Mapping[str, Profile],
    reference: Reference,
    examples: Mapping[EventKey, Example],
    findings: Findings,
) -> None:
    """Every user's profile is what their events make of it."""
    learnt: dict[str, int] = {}
    for (user_id, _), example in examples.items():
        learnt[user_id] = learnt.get(user_id, 0) ^ hash_of(example.event_id)
    for user_id, user in reference.users.items():
        state = states.get(user_id)
        if state is None:
            findings.note("lost", f"{user_id!r} has no profile", user.events)
            continue
        if state.events > user.events:
            words = f"{user_id!r} counts {state.events} events of {user.events}"
            findings.note("double", words, state.events - user.events)
        if state.events < user.events:
            words = f"{user_id!r} counts {state.events} events of {user.events}"
            findings.note("lost", words, user.events - state.events)
        for name, got, wanted in _state_differences(state, user):
            words = f"profile of {user_id!r}: {name} is {shown(got)}, not {shown(wanted)}"
            findings.note("state_mismatches", words)
        if learnt.get(user_id, 0) != user.xor:
            words = f"examples of {user_id!r}: XOR over their ids is not that of their events"
            findings.note("state_mismatches", words)
    for user_id in states.keys() - reference.users.keys():
        findings.note("state_mismatches", f"a profile of {user_id!r}, who did nothing")


def judge_rows(
    rows: Mapping[str, UserFeatures | None],
    states: Mapping[str, Profile],
    reference: Reference,
    findings: Findings,
) -> None:
    """Every user's row of the online store is what their profile says, and their events make."""
    for user_id, user in reference.users.items():
        row = rows.get(user_id)
        if row is None:
            findings.note("state_mismatches", f"{user_id!r} has no row in the online store")
            continue
        for name, got, wanted in _row_differences(row, user, states.get(user_id)):
            words = f"row of {user_id!r}: {name} is {shown(got)}, not {shown(wanted)}"
            findings.note("state_mismatches", words)


def _state_differences(state: Profile, user: User) -> Wrong:
    short, long = state.interests.vectors()
    yield from _unequal(
        ("counts", dict(zip(KINDS, state.counts, strict=True)), user.counts),
        ("steps", list(state.steps), user.steps),
        ("seen", state.seen, _codes(user)),
        ("ids", state.ids, b"".join(user.ids[-IDS:])),
        ("partition", state.partition, user.partition),
        ("applied.offset", state.applied.offset, user.offset),
        ("last_event_id", state.last_event_id, user.last_event_id),
        ("first_ms", state.first_ms, user.first_ms),
        ("last_ms", state.last_ms, user.last_ms),
        ("rating.n", state.rating.n, len(user.ratings)),
    )
    yield from _apart(("rating", state.rating.value, _mean(user.ratings)))
    if user.items.known:
        taste = user.taste
        yield from _unequal(
            ("price.n", state.price.n, len(user.prices)),
            ("categories", state.categories, taste.categories),
            ("brands", state.brands, taste.brands),
        )
        yield from _apart(("price", state.price.value, _mean(user.prices)))
        if state.interests.short or taste.short is not None:
            yield from _turned("short interest", short, taste.short)
            yield from _turned("long interest", long, taste.long)


def _row_differences(row: UserFeatures, user: User, state: Profile | None) -> Wrong:
    counts = (row.views, row.clicks, row.carts, row.purchases, row.reviews)
    yield from _unequal(
        ("events", row.events, user.events),
        ("counts", counts, tuple(user.counts.values())),
        ("updated_ms", row.updated_ms, user.last_ms),
        ("last_event_id", row.last_event_id, user.last_event_id),
        ("recent_items", list(row.recent_items), [step.item_id for step in user.steps]),
        ("recent_kinds", list(row.recent_kinds), [step.kind for step in user.steps]),
        ("recent_ts_ms", list(row.recent_ts_ms), [step.ts_ms for step in user.steps]),
        ("recent_ratings", list(row.recent_ratings), [step.rating or 0.0 for step in user.steps]),
        ("seen", row.seen, _codes(user)),
    )
    yield from _apart(
        ("mean_rating", row.mean_rating, _mean(user.ratings)),
        ("mean_sentiment", row.mean_sentiment, _mean([(r - 3) / 2 for r in user.ratings])),
    )
    if user.items.known:
        taste = user.taste
        yield from _unequal(
            ("top_category", row.top_category, favourite(taste.categories)),
            ("top_brand", row.top_brand, favourite(taste.brands)),
        )
        yield from _apart(("mean_price", row.mean_price, _mean(user.prices)))
        if not abs(row.divergence - taste.divergence) <= TOLERANCE:
            # Late events don't move the detector, nor what it last saw.
            if state is None or abs(row.divergence - state.shift.divergence) > CLOSE:
                yield ("divergence", row.divergence, taste.divergence)
        if row.short_vector or taste.short is not None:
            yield from _turned("short_vector", np.array(row.short_vector), taste.short)
            yield from _turned("long_vector", np.array(row.long_vector), taste.long)
    if state is not None:
        shift = state.shift
        yield from _unequal(
            ("shifts", row.shifts, shift.count),
            ("last_shift_ms", row.last_shift_ms, shift.last_ms),
            ("last_shift_to", row.last_shift_to, shift.last_to),
        )


def _unequal(*pairs: tuple[str, object, object]) -> Wrong:
    return (pair for pair in pairs if pair[1] != pair[2])


def _apart(*pairs: tuple[str, float, float]) -> Wrong:
    return (pair for pair in pairs if not isclose(pair[1], pair[2], rel_tol=CLOSE, abs_tol=CLOSE))


def _turned(name: str, got: Any, wanted: Vector | None) -> Wrong:
    # Asked this way round, so that what is no number is wrong too.
    alike = wanted is not None and len(got) == len(wanted)
    if not (alike and np.abs(got - wanted).max() <= TOLERANCE):
        yield (name, got, wanted)


def _codes(user: User) -> bytes:
    return b"".join(code.to_bytes(4, "little") for code in user.seen)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
