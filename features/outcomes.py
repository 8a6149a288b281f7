"""What became of each item that was shown: taken, bought, or passed over. Pure.

A user's state holds the lists that they were shown lately and what was done to the items of each.

- A view or click, a cart and a purchase are told at once; a purchase ends its item's story.
- An item that nobody touched is told when its list's click window closes: it was passed over.
- An item that was touched stays open for its purchase, until the purchase window closes.

What was done belongs to the list that the event names (`recommendation_id`), otherwise to the
newest list with that item that was shown before. Windows are counted from the showing, by the times
at which records came: a shop's own times may be those of a log of years ago.

Lists and events come by two topics, in any order between them: an event whose list is not there yet
waits for it. What comes twice changes nothing: a record that is delivered again is known by its
offset, an answer that was sent again by its id, a copy of an event by what it would do. So each
item of a list has exactly one final outcome, whatever comes when.

Memory is bounded: the oldest of too many lists of a user is closed early, with what is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from features.outcomes_state import Act, At, ShownItem, ShownList, Shows
from stream.events import Event, Outcome, Recommendation

MOST_ACTS = 16
"""Events of a user that wait for their list: the topics are seconds apart, not more."""


class OutcomesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How what was shown is joined with what was done."""

    on: Annotated[
        bool,
        Meta(
            description="tell on `outcomes` what became of each item that was shown; calibration, "
            "ads and reports of variants read it"
        ),
    ] = False
    click_window_s: Annotated[
        float,
        Meta(gt=0, le=86_400, description="an item untouched for so long was passed over"),
    ] = 1_800.0
    purchase_window_s: Annotated[
        float,
        Meta(
            gt=0,
            le=2_592_000,
            description="a purchase counts for so long after the showing, if the item was touched",
        ),
    ] = 86_400.0
    lists: Annotated[
        int, Meta(ge=1, le=1_000, description="open lists of a user; the oldest is closed early")
    ] = 32

    @property
    def click_ms(self) -> int:
        """The click window in milliseconds."""
        return int(self.click_window_s * 1000)

    @property
    def purchase_ms(self) -> int:
        """The purchase window in milliseconds, never shorter than the one for clicks."""
        return max(int(self.purchase_window_s * 1000), self.click_ms)


class Joined(NamedTuple):
    """The state after a record, and what is to be told."""

    state: Shows
    outcomes: Sequence[Outcome] = ()


def show(state: Shows, answer: Recommendation, at: At, config: OutcomesConfig) -> Joined:
    """Take in a list that was shown; what its user did to it may have come before.

    A copy of an answer is known while its list is; after half of the click window every copy comes
    too late, so that none can open a list that is closed.
    """
    if state.lists_at.covers(at):
        return Joined(state)
    state = replace(state, lists_at=at)
    late = at.ms - answer.ts_ms > config.click_ms / 2
    known = any(one.recommendation_id == answer.recommendation_id for one in state.lists)
    if late or known or not answer.items:
        return Joined(state)
    shown = ShownList(
        answer.recommendation_id,
        answer.surface,
        answer.variant,
        answer.model_version,
        answer.ts_ms,
        tuple(ShownItem(item.item_id, item.score) for item in answer.items),
    )
    lists = sorted((*state.lists, shown), key=lambda one: one.shown_ms)
    state = replace(state, lists=tuple(lists))
    told: list[Outcome] = []
    for act in state.acts:
        state, now = _do(state, act, answer.user_id, config)
        told += now
    while len(state.lists) > config.lists:
        oldest, *others = state.lists
        told += [
            _outcome(oldest, place, answer.user_id, final=True)
            for place, item in enumerate(oldest.items)
            if not item.final
        ]
        state = replace(state, lists=tuple(others))
    return Joined(state, told)


def act(state: Shows, event: Event, at: At, config: OutcomesConfig) -> Joined:
    """Take in what a user did."""
    if state.acts_at.covers(at):
        return Joined(state)
    state = replace(state, acts_at=at)
    if event.kind == "review":
        return Joined(state)
    done = Act(
        event.item_id,
        event.kind,
        event.received_ms,
        event.recommendation_id,
        event.price,
        event.quantity,
    )
    if done in state.acts:
        return Joined(state)
    young = [one for one in state.acts if one.ms + config.click_ms > done.ms]
    acts = (*young, done)[-MOST_ACTS:]
    return Joined(*_do(replace(state, acts=acts), done, event.user_id, config))


def close(state: Shows, user_id: str, upto_ms: int, config: OutcomesConfig) -> Joined:
    """Close all windows that ended by a time, and let go what is done with."""
    told: list[Outcome] = []
    lists = []
    for shown in state.lists:
        kept = shown
        for place, item in enumerate(shown.items):
            window_ms = config.purchase_ms if item.touched else config.click_ms
            if not item.final and shown.shown_ms + window_ms <= upto_ms:
                kept = _put(kept, place, replace(item, final=True))
                told.append(_outcome(kept, place, user_id, final=True))
        if _leaves_ms(kept, config) > upto_ms:
            lists.append(kept)
    return Joined(replace(state, lists=tuple(lists)), told)


def due_ms(state: Shows, config: OutcomesConfig) -> int | None:
    """When `close` has something to do next; `None` if there is nothing to close."""
    return min((_next_ms(shown, config) for shown in state.lists), default=None)


def _do(
    state: Shows, done: Act, user_id: str, config: OutcomesConfig
) -> tuple[Shows, Sequence[Outcome]]:
    """Put an act to the list that it belongs to, and out of those that wait."""
    found = _whose(state, done, config)
    if found is None:
        return state, ()
    number, place = found
    state = replace(state, acts=tuple(one for one in state.acts if one != done))
    shown = state.lists[number]
    item = _after(shown.items[place], done, done.ms - shown.shown_ms, config)
    if item == shown.items[place]:
        return state, ()
    shown = _put(shown, place, item)
    lists = (*state.lists[:number], shown, *state.lists[number + 1 :])
    return replace(state, lists=lists), [_outcome(shown, place, user_id, final=item.final)]


def _whose(state: Shows, done: Act, config: OutcomesConfig) -> tuple[int, int] | None:
    """The list and place that an act belongs to: the named list, or the newest shown before it."""
    for number in reversed(range(len(state.lists))):
        shown = state.lists[number]
        if done.recommendation_id is None:
            if not shown.shown_ms <= done.ms < shown.shown_ms + config.purchase_ms:
                continue
        elif shown.recommendation_id != done.recommendation_id:
            continue
        for place, item in enumerate(shown.items):
            if item.item_id == done.item_id:
                return number, place
    return None


def _after(item: ShownItem, done: Act, age_ms: int, config: OutcomesConfig) -> ShownItem:
    """An item after an act; the first of each kind counts, and nothing after a window's end."""
    if item.final or age_ms >= (config.purchase_ms if item.touched else config.click_ms):
        return item
    if done.kind == "purchase":
        return replace(
            item, bought_ms=done.ms, price=done.price, quantity=done.quantity, final=True
        )
    if done.kind == "cart":
        return item if item.carted_ms is not None else replace(item, carted_ms=done.ms)
    return item if item.clicked_ms is not None else replace(item, clicked_ms=done.ms)


def _put(shown: ShownList, place: int, item: ShownItem) -> ShownList:
    return replace(shown, items=(*shown.items[:place], item, *shown.items[place + 1 :]))


def _next_ms(shown: ShownList, config: OutcomesConfig) -> int:
    """When something of a list closes next, or the list goes."""
    untouched = any(not (item.final or item.touched) for item in shown.items)
    return shown.shown_ms + config.click_ms if untouched else _leaves_ms(shown, config)


def _leaves_ms(shown: ShownList, config: OutcomesConfig) -> int:
    """When a list goes: copies of what was done to it must find it until then."""
    touched = any(item.touched for item in shown.items)
    return shown.shown_ms + (config.purchase_ms if touched else config.click_ms)


def _outcome(shown: ShownList, place: int, user_id: str, *, final: bool) -> Outcome:
    item = shown.items[place]
    return Outcome(
        recommendation_id=shown.recommendation_id,
        user_id=user_id,
        item_id=item.item_id,
        place=place + 1,
        places=len(shown.items),
        surface=shown.surface,
        variant=shown.variant,
        model_version=shown.model_version,
        score=item.score,
        shown_ms=shown.shown_ms,
        clicked_ms=item.clicked_ms,
        carted_ms=item.carted_ms,
        bought_ms=item.bought_ms,
        price=item.price,
        quantity=item.quantity,
        final=final,
    )
