"""Which events may show a shift at all, of all users of a run at once.

`features.shift.evidence` weighs one event against the user's past, in Python. Of a hundred events
it finds enough in less than one; which it can't be is told here by arrays, from a bound.

Shapes: `I` items that follow each other in users' histories, `E` events, `T` the steps of the
longest history, the newest first, `B` how many events ago a shift may have begun.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.interest import SAME_DEPARTMENT, ItemFacts
from features.shift import LEAST_PAST, LEAST_RECENT, NEW_SHARE, PRIOR_EVENTS, PRIOR_LIKE

_ROUNDING = 1e-5
"""Above what sums and logarithms in another order may differ by."""


def may_show(
    facts: Sequence[ItemFacts],
    windows: Sequence[tuple[int, int]],
    recent: int,
    least: float,
) -> NDArray[np.bool_]:
    """Tell which events may have `least` evidence: all that have, and few others.

    Parameters
    ----------
    facts
        Items, those of one history one after the other.
    windows
        Of each event the places of its user's steps in `facts`, the event's own item the last.
    recent
        How many events ago a shift may have begun.

    Returns
    -------
    array of bool, shape (E,)
        Also true where items are to be compared by their texts, which is not done here.

    Examples
    --------
    >>> tea = ItemFacts(category="Tea", kind=1, room=1)
    >>> bike = ItemFacts(category="Bikes", kind=2, room=2)
    >>> may_show([tea] * 20 + [bike] * 8, [(0, 20), (0, 28)], 10, 8.0).tolist()
    [False, True]
    """
    if not windows:
        return np.zeros(0, np.bool_)
    bounds_E2 = np.array(windows)
    starts_E, ends_E = bounds_E2[:, 0], bounds_E2[:, 1]
    lengths_E = ends_E - starts_E
    places_ET = ends_E[:, None] - 1 - np.arange(lengths_E.max())
    there_ET = places_ET >= starts_E[:, None]
    np.maximum(places_ET, 0, out=places_ET)
    kinds_ET = np.array([item.kind for item in facts])[places_ET]
    rooms_ET = np.array([item.room for item in facts])[places_ET]
    like_ET = SAME_DEPARTMENT * (rooms_ET == rooms_ET[:, :1])
    like_ET[kinds_ET == kinds_ET[:, :1]] = 1.0
    like_ET *= there_ET
    may_E: NDArray[np.bool_] = _bound(like_ET, lengths_E, recent) + _ROUNDING >= least
    texts_I = np.array([not item.category and item.vector_D is not None for item in facts])
    if texts_I.any():
        may_E |= _by_text(facts, texts_I, places_ET, there_ET)
    may_E &= lengths_E >= LEAST_PAST + LEAST_RECENT
    return may_E


def _bound(
    like_ET: NDArray[np.float64], lengths_E: NDArray[np.int64], recent: int
) -> NDArray[np.float64]:
    """The most that the evidence can be: as if all recent events were equally like (Jensen)."""
    total_E = like_ET.sum(axis=1) + PRIOR_EVENTS * PRIOR_LIKE
    since_EB = np.cumsum(like_ET[:, :recent], axis=1)
    back_B = np.arange(1, since_EB.shape[1] + 1)
    before_EB = np.maximum(lengths_E[:, None] - back_B, 0) + PRIOR_EVENTS
    usual_EB = np.maximum(total_E[:, None] - since_EB, PRIOR_EVENTS * PRIOR_LIKE) / before_EB
    most_EB = back_B * np.log(1 - NEW_SHARE + NEW_SHARE * since_EB / (back_B * usual_EB))
    tried_EB = (back_B >= LEAST_RECENT) & (back_B <= lengths_E[:, None] - LEAST_PAST)
    most_E: NDArray[np.float64] = np.where(tried_EB, most_EB, 0.0).max(axis=1)
    return most_E


def _by_text(
    facts: Sequence[ItemFacts],
    texts_I: NDArray[np.bool_],
    places_ET: NDArray[np.int64],
    there_ET: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Where an item without a category stands beside another one, and both have texts."""
    vectors_I = np.array([item.vector_D is not None for item in facts])
    newest_E = places_ET[:, 0]
    with_text_E = (texts_I[places_ET] & there_ET).any(axis=1)
    with_vector_E = (vectors_I[places_ET[:, 1:]] & there_ET[:, 1:]).any(axis=1)
    return np.where(texts_I[newest_E], with_vector_E, vectors_I[newest_E] & with_text_E)
