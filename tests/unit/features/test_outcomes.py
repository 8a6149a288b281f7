"""Each shown item has one final outcome, whatever comes when, and however often."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from features.outcomes import Joined, OutcomesConfig, act, close, due_ms, show
from features.outcomes_state import EMPTY, At, Shows, decode, encode, is_older
from stream.events import Event, Kind, Outcome, Recommendation, RecommendedItem

CONFIG = OutcomesConfig(click_window_s=100.0, purchase_window_s=1_000.0, lists=50)
END_MS = 10_000_000


def answer(name: str, shown_ms: int, items: str = "abc") -> Recommendation:
    return Recommendation(
        recommendation_id=name,
        request_id=name,
        user_id="ann",
        ts_ms=shown_ms,
        items=tuple(RecommendedItem(item_id=one, score=0.5) for one in items),
        path="model",
        model_version=3,
    )


def event(item: str, ms: int, kind: Kind = "click", of: str | None = None) -> Event:
    return Event(
        event_id=f"{item}-{ms}-{kind}",
        user_id="ann",
        item_id=item,
        kind=kind,
        ts_ms=ms,
        received_ms=ms,
        source="",
        recommendation_id=of,
        price=9.0 if kind == "purchase" else None,
    )


class User:
    """A user's state, through the bytes of a table, and all that was told."""

    def __init__(self, config: OutcomesConfig = CONFIG) -> None:
        self.config = config
        self.value = encode(EMPTY, None)
        self.told: list[Outcome] = []
        self.offsets = {"lists": 0, "acts": 0}

    @property
    def state(self) -> Shows:
        return decode(self.value)

    def take(self, joined: Joined) -> None:
        self.value = encode(joined.state, due_ms(joined.state, self.config))
        self.told += joined.outcomes

    def sees(self, shown: Recommendation, ms: int | None = None) -> None:
        at = At(0, self.offsets["lists"], shown.ts_ms if ms is None else ms)
        self.offsets["lists"] += 1
        self.take(show(self.state, shown, at, self.config))

    def does(self, done: Event) -> None:
        at = At(0, self.offsets["acts"], done.received_ms)
        self.offsets["acts"] += 1
        self.take(act(self.state, done, at, self.config))

    def time_is(self, ms: int) -> None:
        self.take(close(self.state, "ann", ms, self.config))

    def finals(self) -> dict[tuple[str, str], Outcome]:
        found = {}
        for one in self.told:
            if one.final:
                key = (one.recommendation_id, one.item_id)
                assert key not in found
                found[key] = one
        return found


def test_a_click_is_told_at_once_and_what_nobody_touched_when_its_window_ends() -> None:
    ann = User()
    ann.sees(answer("r1", 1_000))
    ann.does(event("b", 2_000, of="r1"))
    (told,) = ann.told
    assert (told.item_id, told.place, told.clicked_ms, told.final) == ("b", 2, 2_000, False)
    ann.time_is(100_999)
    assert len(ann.told) == 1
    ann.time_is(101_000)
    assert {key for key in ann.finals()} == {("r1", "a"), ("r1", "c")}
    assert not any(one.taken for one in ann.finals().values())
    ann.does(event("b", 500_000, "purchase"))
    assert ann.finals()["r1", "b"].bought_ms == 500_000
    assert ann.finals()["r1", "b"].price == 9.0
    assert ann.finals()["r1", "b"].clicked_ms == 2_000


def test_without_an_id_the_newest_list_before_counts() -> None:
    ann = User()
    ann.sees(answer("r1", 1_000))
    ann.sees(answer("r2", 2_000))
    ann.sees(answer("r3", 3_000, "xyz"))
    ann.does(event("a", 2_500))
    ann.does(event("a", 1_500, of="r1"))
    assert [(one.recommendation_id, one.clicked_ms) for one in ann.told] == [
        ("r2", 2_500),
        ("r1", 1_500),
    ]
    ann.does(event("x", 2_900))  # r3 was not shown yet
    assert len(ann.told) == 2


def test_a_purchase_after_the_click_window_needs_a_click() -> None:
    ann = User()
    ann.sees(answer("r1", 0))
    ann.does(event("a", 50_000, "cart"))
    ann.does(event("a", 150_000, "purchase"))
    ann.does(event("b", 150_000, "purchase", of="r1"))
    ann.time_is(END_MS)
    assert {one.item_id for one in ann.finals().values() if one.taken} == {"a"}
    assert len(ann.finals()) == 3


def test_an_event_waits_for_its_list() -> None:
    ann = User()
    ann.does(event("b", 2_000, of="r1"))
    ann.does(event("a", 3_000))
    ann.sees(answer("r1", 1_000))
    assert {one.item_id for one in ann.told} == {"a", "b"}
    assert ann.state.acts == ()


def test_the_oldest_of_too_many_lists_is_closed_early() -> None:
    ann = User(msgspec.structs.replace(CONFIG, lists=2))
    for n in range(4):
        ann.sees(answer(f"r{n}", 1_000 * n))
    assert {key[0] for key in ann.finals()} == {"r0", "r1"}
    ann.time_is(END_MS)
    assert len(ann.finals()) == 12
    assert ann.state.lists == ()


def test_a_copy_of_an_answer_opens_nothing() -> None:
    ann = User()
    ann.sees(answer("r1", 1_000))
    ann.sees(answer("r1", 1_000), ms=30_000)
    ann.time_is(200_000)
    ann.sees(answer("r1", 1_000), ms=90_000)
    ann.time_is(END_MS)
    assert len(ann.finals()) == 3


def test_recovery_keeps_the_state_that_has_taken_more() -> None:
    ann = User()
    before = ann.value
    ann.sees(answer("r1", 1_000))
    after = ann.value
    assert is_older(before, after)
    assert not is_older(after, before)
    assert not is_older(after, after)


ITEMS = "abcd"
lists = st.lists(
    st.tuples(st.integers(0, 400_000), st.text(ITEMS, min_size=1, max_size=4)), max_size=5
)
kinds: st.SearchStrategy[Kind] = st.sampled_from(["view", "click", "cart", "purchase", "review"])
acts = st.lists(
    st.tuples(
        st.sampled_from(ITEMS),
        st.integers(0, 900_000),
        kinds,
        st.sampled_from([None, "r0", "r1", "r2", "r9"]),
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(lists, acts, st.data())
def test_each_shown_item_has_one_final_outcome(
    shown: Sequence[tuple[int, str]],
    done: Sequence[tuple[str, int, Kind, str | None]],
    data: st.DataObject,
) -> None:
    """Both topics in their order and anyhow between them, records twice, runs repeated, late."""
    seen = [
        answer(f"r{n}", ms, "".join(dict.fromkeys(items)))
        for n, (ms, items) in enumerate(sorted(shown))
    ]
    events = [event(*one) for one in sorted(done, key=lambda one: one[1])]
    streams: list[list[tuple[str, int]]] = [
        [("list", n) for n in range(len(seen))],
        [("act", n) for n in range(len(events))],
    ]
    ann = User()
    read = [-1, -1]
    while any(streams):
        which = data.draw(st.sampled_from([n for n in (0, 1) if streams[n]]))
        kind, n = streams[which].pop(0)
        for _ in range(data.draw(st.integers(1, 2))):  # delivered again, as after a crash
            if kind == "list":
                at = At(0, n, seen[n].ts_ms)
                step = partial(show, answer=seen[n], at=at, config=CONFIG)
                read[0] = max(read[0], seen[n].ts_ms)
            else:
                at = At(0, n, events[n].received_ms)
                step = partial(act, event=events[n], at=at, config=CONFIG)
                read[1] = max(read[1], events[n].received_ms)
            ann.take(step(ann.state))
        if data.draw(st.booleans()):
            ann.time_is(min(read))
    ann.time_is(END_MS)
    finals = ann.finals()
    assert set(finals) == {
        (one.recommendation_id, item.item_id) for one in seen for item in one.items
    }
    assert ann.state.lists == ()
    for one in ann.told:
        last = finals[one.recommendation_id, one.item_id]
        # What was told early stays true.
        for name in ("clicked_ms", "carted_ms", "bought_ms"):
            assert getattr(one, name) in {None, getattr(last, name)}


@settings(max_examples=100, deadline=None)
@given(lists, acts, st.data())
def test_named_lists_make_the_order_of_the_topics_unimportant(
    shown: Sequence[tuple[int, str]],
    done: Sequence[tuple[str, int, Kind, str | None]],
    data: st.DataObject,
) -> None:
    seen = [
        answer(f"r{n}", ms, "".join(dict.fromkeys(items)))
        for n, (ms, items) in enumerate(sorted(shown))
    ]
    # Events wait for their lists as long as a click may.
    named = sorted((i, ms // 10, k, of) for i, ms, k, of in done if of)
    named.sort(key=lambda one: one[1])
    events = [event(*one) for one in named]
    order = data.draw(st.permutations([0] * len(seen) + [1] * len(events)))
    told = []
    for turns in (order, [0] * len(seen) + [1] * len(events)):
        ann, lists_left, acts_left = User(), list(seen), list(events)
        for which in turns:
            if which:
                ann.does(acts_left.pop(0))
            else:
                ann.sees(lists_left.pop(0))
        ann.time_is(END_MS)
        told.append(ann.finals())
    assert told[0] == told[1]
