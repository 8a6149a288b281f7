"""A recorded log as an evaluation reads it: columns for the baselines, examples for the learner.

Legend: `N` events of the log, in time order; `split` is the first of the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.baselines.protocol import MICRO_BATCH, Events, micro_batches
from learner.baselines.rows import GrowingLists
from stream.events import KIND_CODE, Event, Example, Step
from stream.seen import remember

Rule = Literal["auto", "event", "instant"]

NO_REPEATS = 0.005
"""A history with a smaller share of repeats has none: what a user had is then not ranked. The
learner draws the line at the same place."""

TOGETHER = 0.1
"""From this share of events at the very time of their user's event before, the clock says days,
invoices or pages, and the order inside one of them says nothing about what came first."""

_ROOM = 1024
"""Baselines' tables are this much larger at a time: no model can tell from the size of its tables
how many items are still to come."""


class Protocol(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a log is played."""

    history: Annotated[
        float, Meta(ge=0, lt=1, description="first share of the log: learnt, not counted")
    ] = 0.7
    batch: Annotated[
        int, Meta(ge=1, le=65_536, description="events ranked together, then learnt together")
    ] = MICRO_BATCH
    stream_max: Annotated[
        int | None, Meta(description="stop after so many counted events; the split stays")
    ] = None
    repeat: Annotated[
        bool | None,
        Meta(
            description="whether a user's own items are ranked again; none: as the history has it"
        ),
    ] = None
    histories: Annotated[
        Rule,
        Meta(
            description="a user's own past reaches up to the event before, or up to the instant "
            "before; auto looks at how often a user's events fall on one instant"
        ),
    ] = "auto"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A log, cut into history and stream, and into micro-batches that every model shares."""

    events: Sequence[Event]
    """All events that are played: those behind `stream_max` are gone."""
    columns: Events
    items: int
    """Distinct items: of the catalogue and of the events."""
    room: int
    """Rows of the baselines' tables, at least as many as items."""
    announced: NDArray[np.int32]
    """Codes of the items that the catalogue holds from the start."""
    split: int
    rule: Literal["event", "instant"]
    mask_consumed: bool
    history_cuts: tuple[tuple[int, int], ...]
    stream_cuts: tuple[tuple[int, int], ...]

    @property
    def streamed(self) -> int:
        """How many events are counted."""
        return len(self.events) - self.split

    @property
    def largest_cut(self) -> int:
        """The size of the largest micro-batch: instants that stay whole may exceed `batch`."""
        return max((b - a for a, b in self.history_cuts + self.stream_cuts), default=1)

    def had_before(self) -> NDArray[np.bool_]:
        """Which streamed events are of an item that their user had had before."""
        had, again = GrowingLists(), np.zeros(len(self.events), np.bool_)
        pairs = zip(self.columns.user.tolist(), self.columns.item.tolist(), strict=True)
        for n, (user, item) in enumerate(pairs):
            again[n] = not had.add(user, item)
        return again[self.split :]


def record(events: Sequence[Event], catalog: Catalog, protocol: Protocol) -> Recorded:
    """Cut a log. Events must be in time order; equal times keep the order that they have."""
    everything, items = _columns(events, catalog)
    split = int(len(events) * protocol.history)
    rule = protocol.histories
    if rule == "auto":
        rule = "instant" if _together(everything.between(0, split)) >= TOGETHER else "event"
    whole = rule == "instant"
    if whole and 0 < split < len(events):
        split = int(np.searchsorted(everything.ts_ms, everything.ts_ms[split], side="left"))
    streamed = len(events) - split
    stop = split + min(streamed, streamed if protocol.stream_max is None else protocol.stream_max)
    columns = everything.between(0, stop)

    def cuts(start: int, end: int) -> tuple[tuple[int, int], ...]:
        return tuple(
            micro_batches(columns, protocol.batch, start=start, stop=end, instants_whole=whole)
        )

    repeat = protocol.repeat
    if repeat is None:
        repeat = _repeats(columns.between(0, split)) >= NO_REPEATS
    return Recorded(
        events=events[:stop],
        columns=columns,
        items=items,
        room=-(-max(items, 1) // _ROOM) * _ROOM,
        announced=np.arange(len(catalog), dtype=np.int32),
        split=split,
        rule=rule,
        mask_consumed=not repeat,
        history_cuts=cuts(0, split),
        stream_cuts=cuts(split, stop),
    )


def examples_of(
    events: Iterable[Event],
    steps: int = 50,
    partition: int = 0,
    rule: Literal["event", "instant"] = "event",
) -> Iterator[Example]:
    """Turn events into training examples, as profiles do: with the history strictly before each.

    By `instant`, events of one user and time don't see each other.

    Examples
    --------
    >>> def bought(item, ts_ms):
    ...     return Event(event_id=item, user_id="u", item_id=item, kind="purchase", ts_ms=ts_ms,
    ...                  source="", received_ms=ts_ms)
    >>> log = [bought("a", 1), bought("b", 2), bought("c", 2)]
    >>> [[step.item_id for step in e.history] for e in examples_of(log)]
    [[], ['a'], ['a', 'b']]
    >>> [[step.item_id for step in e.history] for e in examples_of(log, rule="instant")]
    [[], ['a'], ['a']]
    """
    past: dict[str, deque[Step]] = {}
    older: dict[str, bytes] = {}
    counts: dict[str, int] = {}
    seen_at: dict[str, tuple[int, tuple[Step, ...], int, bytes]] = {}
    for offset, event in enumerate(events):
        user = event.user_id
        steps_of = past.setdefault(user, deque(maxlen=steps))
        history, count, seen = tuple(steps_of), counts.get(user, 0), older.get(user, b"")
        if rule == "instant":
            at = seen_at.get(user)
            if at is None or at[0] != event.ts_ms:
                seen_at[user] = at = (event.ts_ms, history, count, seen)
            _, history, count, seen = at
        yield Example(
            event_id=event.event_id,
            user_id=user,
            item_id=event.item_id,
            kind=event.kind,
            ts_ms=event.ts_ms,
            received_ms=event.received_ms,
            partition=partition,
            offset=offset,
            history=history,
            user_events=count,
            rating=event.rating,
            seen=seen,
        )
        if len(steps_of) == steps:
            older[user] = remember(older.get(user, b""), steps_of[0].item_id)
        steps_of.append(Step(event.item_id, event.kind, event.ts_ms, event.rating))
        counts[user] = counts.get(user, 0) + 1


def _columns(events: Sequence[Event], catalog: Catalog) -> tuple[Events, int]:
    """Codes count the catalogue's rows first, then other items as they come."""
    users: dict[str, int] = {}
    sessions: dict[str, int] = {}
    items = {catalog.item(row).item_id: row for row in range(len(catalog))}
    user = np.array([users.setdefault(e.user_id, len(users)) for e in events], np.int32)
    item = np.array([items.setdefault(e.item_id, len(items)) for e in events], np.int32)
    kind = np.array([KIND_CODE[e.kind] for e in events], np.int8)
    ts_ms = np.array([e.ts_ms for e in events], np.int64)
    session = user
    if all(e.session_id for e in events):
        named = [sessions.setdefault(e.session_id or "", len(sessions)) for e in events]
        session = np.array(named, np.int32)
    return Events(user, item, kind, ts_ms, session), len(items)


def _together(columns: Events) -> float:
    """The share of events at the time of the same user's event before."""
    order = np.lexsort((columns.ts_ms, columns.user))
    user, ts_ms = columns.user[order], columns.ts_ms[order]
    same = (user[1:] == user[:-1]) & (ts_ms[1:] == ts_ms[:-1])
    return float(same.sum() / max(1, columns.n_events))


def _repeats(columns: Events) -> float:
    """The share of events, of users with a past, at an item that their user had before."""
    if not columns.n_events:
        return 1.0
    pairs = np.unique(np.stack([columns.user, columns.item]), axis=1).shape[1]
    with_past = columns.n_events - len(np.unique(columns.user))
    return float((columns.n_events - pairs) / max(1, with_past))
