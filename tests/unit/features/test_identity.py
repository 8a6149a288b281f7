"""Several ids of one person: linked in any order, merged once, and taken apart again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.identity import merged
from features.profile_draft import MAX_STEPS
from features.store import UserFeatures
from stream.batching import PlainRecord
from stream.errors import BadRecord
from stream.events import Identity, json_encode
from stream.identities import MOST_IDS, Links, parse_identity
from stream.seen import item_code

NAMES = ("ann", "app-7", "till-3", "bob")

steps = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.sampled_from([f"item-{n}" for n in range(30)]),
        st.sampled_from(["view", "click", "purchase"]),
        st.just(0.0),
    ),
    max_size=MAX_STEPS,
    unique=True,
)


def row(
    user_id: str, done: Sequence[tuple[int, str, str, float]], seen: bytes = b""
) -> UserFeatures:
    done = sorted(done)
    kinds = [kind for _, _, kind, _ in done]
    return UserFeatures(
        user_id=user_id,
        updated_ms=done[-1][0] if done else 0,
        last_event_id=f"{user_id}-{len(done)}",
        recent_ts_ms=tuple(ts for ts, _, _, _ in done),
        recent_items=tuple(item for _, item, _, _ in done),
        recent_kinds=tuple(kinds),
        recent_ratings=tuple(rating for _, _, _, rating in done),
        seen=seen,
        short_vector=(float(len(user_id)), 1.0),
        long_vector=(1.0, float(len(done))),
        events=len(done),
        views=kinds.count("view"),
        clicks=kinds.count("click"),
        purchases=kinds.count("purchase"),
        top_category=f"{user_id}'s" if done else "",
        mean_price=float(len(done)),
    )


@settings(max_examples=100)
@given(st.lists(steps, min_size=1, max_size=4), st.data())
def test_the_order_of_ids_and_repetition_change_nothing(
    every: list[list[tuple[int, str, str, float]]], data: st.DataObject
) -> None:
    rows = [row(name, done) for name, done in zip(NAMES, every, strict=False)]
    found = merged("ann", rows)
    shuffled = data.draw(st.permutations(rows))
    again = [*shuffled, *data.draw(st.lists(st.sampled_from(rows), max_size=3))]
    assert merged("ann", again) == found
    assert found is not None
    assert found.events == sum(len(done) for done in every)
    # In the order of time, each step once, none lost but the oldest.
    times = list(found.recent_ts_ms)
    assert times == sorted(times)
    told = list(zip(times, found.recent_items, found.recent_kinds, strict=True))
    true = sorted({step[:3] for done in every for step in done})
    assert told == true[-MAX_STEPS:]
    codes = {found.seen[at : at + 4] for at in range(0, len(found.seen), 4)}
    assert {item_code(item) for _, item, _ in true[:-MAX_STEPS]} == codes


def test_one_id_alone_is_as_it_is_and_none_is_nobody() -> None:
    own = row("ann", [(1, "item-1", "view", 0.0)])
    assert merged("ann", [own, None]) == own
    assert merged("ann", [None, None]) is None


edges = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.booleans()), max_size=12
)


def said(user_id: str, same_as: str, *, linked: bool = True) -> PlainRecord:
    value = json_encode(Identity(user_id=user_id, same_as=same_as, linked=linked))
    return PlainRecord(user_id.encode(), value, 0)


@settings(max_examples=200)
@given(edges)
def test_groups_follow_from_each_ids_newest_record_alone(
    told: list[tuple[str, str, bool]],
) -> None:
    links, fresh = Links(), Links()
    for user_id, same_as, linked in told:
        links.take(said(user_id, same_as, linked=linked))
    newest = {user_id: (same_as, linked) for user_id, same_as, linked in told}
    for user_id, (same_as, linked) in sorted(newest.items(), reverse=True):
        fresh.take(said(user_id, same_as, linked=linked))
    for name in NAMES:
        group = links.group(name)
        assert group == fresh.group(name)
        assert name in group
        assert all(links.group(other) == group for other in group)
    for user_id in newest:  # all of it undone
        links.take(PlainRecord(user_id.encode(), None, 1))
    assert [links.group(name) for name in NAMES] == [(name,) for name in NAMES]
    assert not len(links)


def test_a_shared_device_makes_no_crowd_one_person() -> None:
    links = Links()
    for n in range(100):
        links.take(said(f"user-{n}", "tablet"))
    assert len(links.group("user-3")) == MOST_IDS
    assert "user-3" in links.group("user-3")


def test_a_tombstone_of_nobody_unlinks_nobody() -> None:
    assert not Links().take(PlainRecord(b"", None, 0))


@pytest.mark.parametrize(
    "value",
    [b"?", b'{"user_id": "ann"}', b'{"user_id": "ann", "same_as": "b", "tenant": "x"}'],
)
def test_what_links_nobody_is_refused(value: bytes) -> None:
    with pytest.raises(BadRecord):
        parse_identity(PlainRecord(b"ann", value, 0))
    assert not Links().take(PlainRecord(b"ann", value, 0))
