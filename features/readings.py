"""What a user's reviews say, as it is kept beside their stars: how each counts, and what moves.

A reading reaches the profile after its review did, at a moment of its own. So nothing that is kept
depends on when: the newest readings stand in the order of their reviews, each once, and ratings and
sentiments are worked out from them. Who hears the same readings in another order, or twice, knows
the same; only whether a shift was reported depends on what was known when it showed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import NamedTuple

import msgspec

from features.interest import InterestConfig
from features.shift import LEAST_PAST, LEAST_RECENT, Move
from stream.events import Reading, Step

MAX_READ = 24
"""Readings of a user that are kept: some 30 bytes each, and enough to compare before with after."""

PRAISES = 3.5
"""A review that counts as more stars than this praises its item."""

MIDDLE = 3.0


class Read(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A review as it reads: of which item, when, and how many stars it counts as."""

    item_id: str
    ts_ms: int
    rating: float


class Readings(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a user's readings, oldest first, and of the shifts that they showed."""

    read: tuple[Read, ...] = ()
    shifted_ms: int = -1
    """The time of the review that showed the last shift; what it was shown by isn't heard again."""
    shifted_to: str = ""


NOTHING_READ = Readings()


def counts_as(reading: Reading) -> float:
    """How many stars a review counts as: as it reads where that is sure, else as it was rated.

    Without stars, what is doubtful is in the middle.

    >>> complaint = Reading(event_id="e", user_id="u", item_id="i", ts_ms=0, received_ms=0,
    ...     partition=0, offset=0, rating=1.5, sentiment="negative", doubt=0.2, stars=5.0)
    >>> counts_as(complaint)
    2.2
    """
    stars = MIDDLE if reading.stars is None else reading.stars
    sure = 1.0 - reading.doubt
    return round(sure * reading.rating + (1.0 - sure) * stars, 2)


def add(readings: Readings, reading: Reading) -> Readings:
    """Keep a reading; one that is kept already, or older than all of so many, changes nothing."""
    new = Read(reading.item_id, reading.ts_ms, counts_as(reading))
    at = bisect_left(readings.read, _place(new), key=_place)
    if at < len(readings.read) and _place(readings.read[at]) == _place(new):
        return readings
    read = (*readings.read[:at], new, *readings.read[at:])[-MAX_READ:]
    return readings if read == readings.read else msgspec.structs.replace(readings, read=read)


def _place(read: Read) -> tuple[int, str]:
    return read.ts_ms, read.item_id


def as_read(steps: Sequence[Step], readings: Readings) -> tuple[Step, ...]:
    """The steps with the ratings that their reviews count as, where these were read.

    >>> steps = (Step("a", "review", 10, 5.0), Step("a", "click", 10), Step("b", "review", 20, 4.0))
    >>> [step.rating for step in as_read(steps, Readings((Read("a", 10, 1.5),)))]
    [1.5, None, 4.0]
    """
    if not readings.read:
        return tuple(steps)
    known = {_place(read): read.rating for read in readings.read}
    found = []
    for step in steps:
        rating = known.get((step.ts_ms, step.item_id)) if step.kind == "review" else None
        found.append(step if rating is None else msgspec.structs.replace(step, rating=rating))
    return tuple(found)


def mean_sentiment(readings: Readings) -> float | None:
    """From -1, all bad, to 1; `None` where nothing was read."""
    read = readings.read
    return sum(sentiment_of(one.rating) for one in read) / len(read) if read else None


def sentiment_of(stars: float) -> float:
    """Stars, from 1 to 5, as from -1 to 1."""
    return (stars - MIDDLE) / 2


class Moved(NamedTuple):
    """A shift that reviews show: from where to where, how clearly, and what is kept after it."""

    move: Move
    evidence: float
    readings: Readings


LIKED, DISLIKED = 0.85, 0.15
"""How often a shopper praises what they have come to like, and what they have turned from."""

LEAST_PRAISE = 2
"""Newest reviews that praise the new category: one may be a present."""


def praise_moved(
    readings: Readings, categories: Sequence[str], least: float, window: int
) -> Moved | None:
    """Find out whether praise has moved from one category to another, in the newest reviews.

    A likelihood ratio, as of events (`features.shift`), over what each review says of its category.
    If nothing has changed, a category is praised as often as before; if praise has moved from one
    to the other, the one is praised and the other complained of. So two shelves that are reviewed
    alike give evidence with every review, the complaints as well. The moment of the change is the
    one that explains the reviews best.

    Parameters
    ----------
    categories
        Of the item of each kept review; empty where it is unknown.
    least
        The evidence, in nats, that makes a shift.
    window
        How many reviews ago it may have begun.

    Examples
    --------
    >>> kept = Readings(tuple(
    ...     Read(name, n, 5.0 if (name == "tea") == (n < 12) else 1.5)
    ...     for n in range(18) for name in ("tea", "bike")
    ... ))
    >>> names = ["Tea", "Bikes"] * 18
    >>> found = praise_moved(kept, names, least=6.0, window=10)
    >>> found.move, found.readings.shifted_to
    (Move(from_category='Tea', to_category='Bikes', evidence=('bike',)), 'Bikes')
    >>> praise_moved(found.readings, names, least=6.0, window=10) is None
    True
    """
    said = [
        (one, name, one.rating > PRAISES)
        for one, name in zip(readings.read, categories, strict=True)
        if name
    ]
    # What has shown a shift once shows it again until it is outweighed: only news count.
    news = sum(one.ts_ms > readings.shifted_ms for one, _, _ in said)
    if len(said) < LEAST_PAST + LEAST_RECENT or news < LEAST_RECENT:
        return None
    now = next((name for _, name, praised in reversed(said) if praised), "")
    if not now or now == readings.shifted_to:
        return None
    best, since, came_from = 0.0, 0, ""
    for back in range(LEAST_RECENT, min(window, len(said) - LEAST_PAST) + 1):
        past, recent = said[:-back], said[-back:]
        usual = _most_praised(past)
        if usual in {"", now}:
            continue
        before = {name: _praised_share(past, name) for name in (now, usual)}
        ratio = sum(_ratio(before, name, praised, now) for _, name, praised in recent)
        praises = sum(praised and name == now for _, name, praised in recent)
        if ratio > best and praises >= LEAST_PRAISE:
            best, since, came_from = ratio, back, usual
    if best < least:
        return None
    items = dict.fromkeys(
        o.item_id for o, name, praised in said[-since:] if praised and name == now
    )
    shifted = msgspec.structs.replace(readings, shifted_ms=said[-1][0].ts_ms, shifted_to=now)
    return Moved(Move(came_from, now, tuple(items)), best, shifted)


def hear(
    readings: Readings,
    reading: Reading,
    category: Callable[[str], str],
    config: InterestConfig,
) -> tuple[Readings, Moved | None]:
    """Keep a reading, and find out whether it shows that praise has moved.

    Parameters
    ----------
    category
        Of an item; empty where it is unknown.
    """
    after = add(readings, reading)
    if after is readings:
        return readings, None
    found = praise_moved(
        after,
        [category(one.item_id) for one in after.read],
        config.shift_evidence_reviews,
        config.shift_window_events,
    )
    return (after, None) if found is None else (found.readings, found)


_Said = tuple[Read, str, bool]


def _praised_share(past: Sequence[_Said], name: str) -> float:
    """How often a category was praised, of its reviews and two more, one of which praises."""
    of = [praised for _, other, praised in past if other == name]
    return (sum(of) + 1.0) / (len(of) + 2.0)


def _ratio(before: Mapping[str, float], name: str, praised: bool, now: str) -> float:
    """How much likelier one review is if praise has moved than if it goes on as before, in nats."""
    if name not in before:
        return 0.0
    after = LIKED if name == now else DISLIKED
    if praised:
        return log(after / before[name])
    return log((1.0 - after) / (1.0 - before[name]))


def _most_praised(said: Sequence[_Said]) -> str:
    counts: dict[str, int] = {}
    for _, name, praised in said:
        if praised:
            counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: (counts[name], name), default="")
