"""One person's rows of several ids, seen as one. Pure.

Each id keeps its own state, its own row and its own partition; what is known of the person is made
of their rows when it is asked for. So two histories are merged once, in the order of time, whatever
came first, and a link that is taken back leaves both as if it had never been.

Of what rows don't hold in parts, the row with the newest event speaks: its words, its divergence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec
import numpy as np

from features.profile_draft import MAX_STEPS
from features.store import UserFeatures
from stream.seen import SEEN_MAX, item_code

SHORT_STEPS = 10
"""Of the newest steps of a person, the share of each id is the weight of its short-term vector."""

_Step = tuple[int, str, str, float]
"""Time, item, kind and rating."""

_SUMS = ("events", "views", "clicks", "carts", "purchases", "reviews", "shifts")


def merged(user_id: str, rows: Iterable[UserFeatures | None]) -> UserFeatures | None:
    """What is known of a person by the rows of their ids; `None` where nobody knows any.

    Parameters
    ----------
    user_id
        The id that asks: the row is told under it.
    rows
        Of each id, in any order; one that comes twice counts once.
    """
    own = {row.user_id: row for row in rows if row is not None}
    known = sorted(own.values(), key=attrgetter("updated_ms", "user_id"))
    if not known:
        return None
    newest = known[-1]
    if len(known) == 1:
        return msgspec.structs.replace(newest, user_id=user_id)
    steps = _steps(known)
    recent, older = steps[-MAX_STEPS:], steps[:-MAX_STEPS]
    short_W = [float(sum(step in set(_of(row)) for step in steps[-SHORT_STEPS:])) for row in known]
    long_W = [float(row.events) for row in known]
    shifted = max(known, key=attrgetter("last_shift_ms", "user_id"))
    return msgspec.structs.replace(
        newest,
        user_id=user_id,
        recent_ts_ms=tuple(step[0] for step in recent),
        recent_items=tuple(step[1] for step in recent),
        recent_kinds=tuple(step[2] for step in recent),
        recent_ratings=tuple(step[3] for step in recent),
        seen=_seen(known, [step[1] for step in older]),
        short_vector=_mean([row.short_vector for row in known], short_W),
        long_vector=_mean([row.long_vector for row in known], long_W),
        **{name: sum(getattr(row, name) for row in known) for name in _SUMS},
        top_category=_top(known, "top_category"),
        top_brand=_top(known, "top_brand"),
        mean_price=_weighted(known, "mean_price", "events"),
        mean_rating=_weighted(known, "mean_rating", "reviews"),
        mean_sentiment=_weighted(known, "mean_sentiment", "reviews"),
        last_shift_ms=shifted.last_shift_ms,
        last_shift_to=shifted.last_shift_to,
    )


def _of(row: UserFeatures) -> list[_Step]:
    return list(
        zip(row.recent_ts_ms, row.recent_items, row.recent_kinds, row.recent_ratings, strict=False)
    )


def _steps(rows: Sequence[UserFeatures]) -> list[_Step]:
    """All steps in the order of time; what two ids did alike at one moment was one step."""
    return sorted({step for row in rows for step in _of(row)})


def _seen(rows: Sequence[UserFeatures], older: Sequence[str]) -> bytes:
    """The codes of what is in no step any more, each once; what just fell out comes last."""
    codes = sorted({row.seen[at : at + 4] for row in rows for at in range(0, len(row.seen), 4)})
    fallen = [item_code(item_id) for item_id in dict.fromkeys(older)]
    left = [code for code in codes if code not in set(fallen)]
    return b"".join([*left, *fallen][-SEEN_MAX:])


def _mean(vectors: Sequence[tuple[float, ...]], weights: Sequence[float]) -> tuple[float, ...]:
    pairs = [(vector, weight) for vector, weight in zip(vectors, weights, strict=True) if vector]
    total = sum(weight for _, weight in pairs)
    if not total:
        return max((vector for vector, _ in pairs), default=())
    shares = np.array([weight / total for _, weight in pairs])
    mixed: list[float] = (shares @ np.array([vector for vector, _ in pairs])).tolist()
    return tuple(mixed)


def _top(rows: Sequence[UserFeatures], name: str) -> str:
    """The favourite of whoever did most; names alone don't say by how much."""
    named = [row for row in rows if getattr(row, name)]
    best = max(named, key=attrgetter("events", "user_id"), default=None)
    return "" if best is None else str(getattr(best, name))


def _weighted(rows: Sequence[UserFeatures], name: str, by: str) -> float:
    total = sum(getattr(row, by) for row in rows)
    if not total:
        return 0.0
    return float(sum(getattr(row, name) * getattr(row, by) for row in rows) / total)
