"""Why an item is on the list, in words that a shopper can read.

Legend: `B` users, `P` items of a list, `T` steps of a history, `C` steps that carry an item.

The first that holds is said:

1. the item itself is in the user's history: "you viewed this before";
2. the model's evidence points at a past step: "because you bought Red tea pot";
3. a past item's text is alike: the same words;
4. the item arrived lately, in a catalogue that is older: "new in Tea";
5. it is in the user's top category: "matches your recent interest in Tea";
6. what is left ranks by popularity: "popular now".

With the first three come the events that carry the score: those at the item itself, and those at
the items that the evidence points at (`serving.carriers`). Without them the score is lower, as
`python -m tests.bench explanations` measures (counterfactual explanations: arXiv 2203.01310).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from features.catalog import UNKNOWN, Catalog
from serving.carriers import Least, carriers
from serving.index import ItemIndex, category_labels
from serving.ranker import Floats, Rows
from stream.cut import cut
from stream.events import ItemVector, Kind, Step

_DID: dict[Kind, str] = {
    "view": "you viewed {}",
    "click": "you viewed {}",
    "cart": "you put {} in your basket",
    "purchase": "you bought {}",
    "review": "you reviewed {}",
}

_INTEREST = "matches your recent interest in "

_TITLE_LENGTH = 80
"""Longer titles are cut: a reason is one line under an item."""

MOST_EVENTS = 12
"""Events that a reason names: who views an item fifty times has one reason, not fifty."""

_FIRST_LOAD_MS = 3_600_000
"""What arrives within an hour of the oldest item is the shop's first load, and no novelty."""


class Reason(NamedTuple):
    """The words, the past item that they point at, and the events that carry the score.

    The events are steps of the history, newest first.
    """

    text: str
    because_item: str | None = None
    events: tuple[Step, ...] = ()


class Newness(NamedTuple):
    """From when on an item counts as new."""

    from_ms: int

    @classmethod
    def of(cls, index: ItemIndex, now_ms: int, new_item_s: float) -> Newness:
        """Items younger than `new_item_s`, unless they came with the catalogue's first load."""
        loaded_ms = (index.since_ms or 0) + _FIRST_LOAD_MS
        return cls(max(now_ms - round(new_item_s * 1000), loaded_ms))


def explain_many(
    rows_BP: Rows,
    histories: Sequence[Sequence[Step]],
    past_BT: Rows,
    evidence_BPT: Floats,
    catalog: Catalog,
    *,
    newness: Newness,
    top_categories: Sequence[str],
    least: Least,
) -> list[list[Reason]]:
    """Give each item of many users' lists its reason.

    Parameters
    ----------
    rows_BP
        The lists as rows of the catalogue, negative where they are short.
    histories
        What the users did, oldest first.
    past_BT
        The same as rows of the catalogue, the newest in the last column; see `past_rows`.
    evidence_BPT
        How much the model says that each step speaks for each item; zeros say nothing.
    catalog
        Titles, categories and text vectors.
    newness
        From when on an item counts as new.
    top_categories
        The category in which each user is most active, "" if unknown.
    least
        What the model's word, and a text, take to be enough.
    """
    carry_BPC = carriers(rows_BP, past_BT, evidence_BPT, catalog, least)
    return [
        _explain(rows_P[rows_P >= 0].tolist(), history, carry_PC.tolist(), catalog, (newness, top))
        for rows_P, history, carry_PC, top in zip(
            rows_BP, histories, carry_BPC, top_categories, strict=True
        )
    ]


def past_rows(catalog: Catalog, histories: Sequence[Sequence[Step]]) -> Rows:
    """Histories as rows of the catalogue, (B, T), the newest in the last column.

    Negative are steps at items that it doesn't hold, and what is before a history's begin.
    """
    lengths_B = np.array([len(history) for history in histories], np.int64)
    longest = int(lengths_B.max(initial=0))
    past_BT = np.full((len(histories), longest), UNKNOWN, np.int32)
    rows_N = catalog.rows(step.item_id for history in histories for step in history)
    past_BT[np.arange(longest) >= longest - lengths_B[:, None]] = rows_N
    return past_BT


def _explain(
    rows: list[int],
    history: Sequence[Step],
    carry: list[list[int]],
    catalog: Catalog,
    else_: tuple[Newness, str],
) -> list[Reason]:
    places: dict[str, list[Step]] = {}
    for step in reversed(history):
        places.setdefault(step.item_id, []).append(step)
    reasons = []
    for row, carriers_C in zip(rows, carry, strict=False):
        item = catalog.item(row)
        own = places.get(item.item_id, [])
        steps = [history[at] for at in carriers_C if at]
        # What was looked at before is ranked by what led to it, too: having seen it may even count
        # against it.
        others = dict.fromkeys(step.item_id for step in steps if step.item_id != item.item_id)
        events = own + [step for item_id in others for step in places[item_id]]
        if len(events) > 1:
            events.sort(key=_time, reverse=True)
        named = tuple(events[:MOST_EVENTS])
        if own:
            reasons.append(Reason(f"{_did(own[0], 'this')} before", item.item_id, named))
        elif steps:
            step = steps[0]
            known = catalog.row(step.item_id)
            title = _short((catalog.item(known).title if known >= 0 else "") or step.item_id)
            reasons.append(Reason(f"because {_did(step, title)}", step.item_id, named))
        else:
            reason = _without_history(item, *else_)
            if reason.text.startswith(_INTEREST):
                found = tuple(_of_category(history, catalog, else_[1]))
                reason = reason._replace(events=found[:MOST_EVENTS])
            reasons.append(reason)
    return reasons


def _without_history(item: ItemVector, newness: Newness, top_category: str) -> Reason:
    if item.first_seen_ms > newness.from_ms:
        return Reason(f"new in {_short(item.category[-1])}" if item.category else "new")
    if top_category and top_category.casefold() in category_labels(item.category):
        return Reason(f"{_INTEREST}{_short(top_category)}")
    return Reason("popular now")


def _of_category(history: Sequence[Step], catalog: Catalog, name: str) -> Iterator[Step]:
    for step in reversed(history):
        row = catalog.row(step.item_id)
        if row != UNKNOWN and name.casefold() in category_labels(catalog.item(row).category):
            yield step


def _time(step: Step) -> int:
    return step.ts_ms


def _did(step: Step, what: str) -> str:
    return _DID[step.kind].replace("{}", what)


def _short(title: str) -> str:
    return title if len(title) <= _TITLE_LENGTH else cut(title, _TITLE_LENGTH - 1) + "…"
