"""Why an item is on the list, in words that a shopper can read.

Legend: `K` items of a list, `T` steps of a history.

The first that holds is said:

1. the item itself is in the user's history: "you viewed this before";
2. the model's evidence points at a past step: "because you bought Red tea pot";
3. a past item's text is alike: the same words;
4. the item arrived lately, in a catalogue that is older: "new in Tea";
5. it is in the user's top category: "matches your recent interest in Tea";
6. what is left ranks by popularity: "popular now".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from features.catalog import UNKNOWN, Catalog
from serving.index import ItemIndex, category_labels
from serving.ranker import Floats, Rows
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

_SPEAKS = 1e-9
"""Less evidence than this is none, whatever the settings say."""

_FIRST_LOAD_MS = 3_600_000
"""What arrives within an hour of the oldest item is the shop's first load, and no novelty."""


class Reason(NamedTuple):
    """The words, and the past item that they point at."""

    text: str
    because_item: str | None = None


class Newness(NamedTuple):
    """From when on an item counts as new."""

    from_ms: int

    @classmethod
    def of(cls, index: ItemIndex, now_ms: int, new_item_s: float) -> Newness:
        """Items younger than `new_item_s`, unless they came with the catalogue's first load."""
        loaded_ms = (index.since_ms or 0) + _FIRST_LOAD_MS
        return cls(max(now_ms - round(new_item_s * 1000), loaded_ms))


def explain(
    rows_K: Rows,
    history: Sequence[Step],
    evidence_KT: Floats,
    catalog: Catalog,
    *,
    newness: Newness,
    top_category: str = "",
    because_evidence: float = 0.1,
    because_similarity: float = 0.5,
) -> list[Reason]:
    """Give each item of one user's list its reason.

    Parameters
    ----------
    rows_K
        The items as rows of the catalogue, without padding.
    history
        What the user did, oldest first.
    evidence_KT
        How much the model says that each step speaks for each item; zeros say nothing.
    catalog
        Titles, categories and text vectors.
    newness
        From when on an item counts as new.
    top_category
        The category in which the user is most active, "" if unknown.
    because_evidence
        The evidence from which the model's word is enough.
    because_similarity
        The cosine from which a past item explains another one by its text.
    """
    newest = {step.item_id: step for step in history}
    said_T = catalog.rows(step.item_id for step in history)
    least = (because_evidence, because_similarity)
    pointed_K = _strongest_step(rows_K, said_T, evidence_KT, catalog, least)
    reasons = []
    for row, pointed in zip(rows_K.tolist(), pointed_K.tolist(), strict=True):
        item = catalog.item(row)
        own = newest.get(item.item_id)
        if own is not None:
            reasons.append(Reason(f"{_did(own, 'this')} before", item.item_id))
        elif pointed != UNKNOWN:
            step = history[pointed]
            title = _short(catalog.item(int(said_T[pointed])).title or step.item_id)
            reasons.append(Reason(f"because {_did(step, title)}", step.item_id))
        else:
            reasons.append(_without_history(item, newness, top_category))
    return reasons


def _strongest_step(
    rows_K: Rows, said_T: Rows, evidence_KT: Floats, catalog: Catalog, least: tuple[float, float]
) -> Rows:
    """The step that best explains each item, -1 where none does."""
    if not len(said_T) or not len(rows_K):
        return np.full(len(rows_K), UNKNOWN, np.int32)
    because_evidence, because_similarity = least
    known_T = said_T != UNKNOWN
    evidence_KT = np.where(known_T, evidence_KT, 0.0)
    chosen_K: Rows = evidence_KT.argmax(axis=1).astype(np.int32)
    silent_N = np.flatnonzero(evidence_KT.max(axis=1) < max(because_evidence, _SPEAKS))
    if len(silent_N):
        alike_NT = catalog.vectors[rows_K[silent_N]] @ catalog.vectors[said_T].T
        alike_NT = np.where(known_T, alike_NT, -1.0)
        by_text_N = alike_NT.argmax(axis=1)
        near_N = alike_NT.max(axis=1) >= because_similarity
        chosen_K[silent_N] = np.where(near_N, by_text_N, UNKNOWN)
    return chosen_K


def _without_history(item: ItemVector, newness: Newness, top_category: str) -> Reason:
    if item.first_seen_ms > newness.from_ms:
        return Reason(f"new in {_short(item.category[-1])}" if item.category else "new")
    if top_category and top_category.casefold() in category_labels(item.category):
        return Reason(f"matches your recent interest in {_short(top_category)}")
    return Reason("popular now")


def _did(step: Step, what: str) -> str:
    return _DID[step.kind].replace("{}", what)


def _short(title: str) -> str:
    return title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1] + "…"
