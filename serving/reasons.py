"""Why an item is on the list, in words that a shopper can read.

Legend: `B` users, `P` items of a list, `T` steps of a history, `N` users whose evidence is silent.

The first that holds is said:

1. the item itself is in the user's history: "you viewed this before";
2. the model's evidence points at a past step: "because you bought Red tea pot";
3. a past item's text is alike: the same words;
4. the item arrived lately, in a catalogue that is older: "new in Tea";
5. it is in the user's top category: "matches your recent interest in Tea";
6. what is left ranks by popularity: "popular now".

With the first three come the events that carry the score: those at the item itself, and those at
the one that the evidence points at. Taking them away lowers the score (`python -m tests.bench
explanations`; counterfactual explanations as in Tan et al. 2021 and the survey arXiv 2203.01310).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from features.catalog import UNKNOWN, Catalog
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

_TITLE_LENGTH = 80
"""Longer titles are cut: a reason is one line under an item."""

MOST_EVENTS = 8
"""Events that a reason names: who views an item fifty times has one reason, not fifty."""

_SPEAKS = 1e-9
"""Less evidence than this is none, whatever the settings say."""

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


class Least(NamedTuple):
    """From when on a past step is a reason: the model's evidence, and the cosine of texts."""

    evidence: float = 0.1
    similarity: float = 0.5


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
    strongest_BP = _strongest_steps(rows_BP, past_BT, evidence_BPT, catalog, least)
    return [
        _explain(rows_P[rows_P >= 0].tolist(), history, step_P.tolist(), catalog, (newness, top))
        for rows_P, history, step_P, top in zip(
            rows_BP, histories, strongest_BP, top_categories, strict=True
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
    strongest: list[int],
    catalog: Catalog,
    else_: tuple[Newness, str],
) -> list[Reason]:
    places: dict[str, list[Step]] = {}
    for step in reversed(history):
        places.setdefault(step.item_id, []).append(step)
    reasons = []
    for row, pointed in zip(rows, strongest, strict=False):
        item = catalog.item(row)
        own = places.get(item.item_id, [])
        step = history[pointed] if pointed else None
        # What was looked at before is ranked by what led to it, too: having seen it may even count
        # against it.
        other = step is not None and step.item_id != item.item_id
        events = [*own, *(places[step.item_id] if step is not None and other else [])]
        events.sort(key=_time, reverse=True)
        named = tuple(events[:MOST_EVENTS])
        if own:
            reasons.append(Reason(f"{_did(own[0], 'this')} before", item.item_id, named))
        elif step is not None:
            known = catalog.row(step.item_id)
            title = _short((catalog.item(known).title if known >= 0 else "") or step.item_id)
            reasons.append(Reason(f"because {_did(step, title)}", step.item_id, named))
        else:
            reasons.append(_without_history(item, history, catalog, *else_))
    return reasons


def _strongest_steps(
    rows_BP: Rows, past_BT: Rows, evidence_BPT: Floats, catalog: Catalog, least: Least
) -> Rows:
    """The step that best explains each item, counted from the end: -1 is the newest, 0 is none."""
    steps = past_BT.shape[1]
    if not rows_BP.size or not steps:
        return np.zeros(rows_BP.shape, np.int32)
    known_BT = past_BT >= 0
    evidence_BPT = np.where(known_BT[:, None], evidence_BPT, 0.0)
    chosen_BP = evidence_BPT.argmax(axis=2)
    silent_BP = evidence_BPT.max(axis=2) < max(least.evidence, _SPEAKS)
    user_N = np.flatnonzero((silent_BP & (rows_BP >= 0)).any(axis=1))
    if len(user_N):
        vectors, at_NT = catalog.vectors, np.maximum(past_BT[user_N], 0)
        alike_NPT = vectors[np.maximum(rows_BP[user_N], 0)] @ vectors[at_NT].transpose(0, 2, 1)
        alike_NPT = np.where(known_BT[user_N][:, None], alike_NPT, -1.0)
        near_NP = alike_NPT.max(axis=2) >= least.similarity
        by_text_NP = np.where(near_NP, alike_NPT.argmax(axis=2), steps)
        chosen_BP[user_N] = np.where(silent_BP[user_N], by_text_NP, chosen_BP[user_N])
    strongest_BP: Rows = (chosen_BP - steps).astype(np.int32)
    return strongest_BP


def _without_history(
    item: ItemVector,
    history: Sequence[Step],
    catalog: Catalog,
    newness: Newness,
    top_category: str,
) -> Reason:
    if item.first_seen_ms > newness.from_ms:
        return Reason(f"new in {_short(item.category[-1])}" if item.category else "new")
    if top_category and top_category.casefold() in category_labels(item.category):
        events = tuple(_of_category(history, catalog, top_category))
        said = f"matches your recent interest in {_short(top_category)}"
        return Reason(said, events=events[:MOST_EVENTS])
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
