"""Shoppers whose praise moves from one shelf to another while nothing else of them does."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from stream.events import Event, Item, Kind
from stream.shop import WORDS
from stream.shop_catalogue import Catalogue
from stream.shop_shelves import SHELVES
from stream.shop_words import Language

PHASES, CLICKS, REVIEWS = 5, 6, 8
"""Of a shopper; clicks and reviews of a phase, half of them on each shelf. A purchase ends it."""

MOVES = 0.4
"""How often praise moves between two phases."""

START_MS, GAP_MS = 1_767_225_600_000, 60_000
ITEMS = 600
RATED = 40
"""Reviews of a shopper who gives stars."""


class Planned(NamedTuple):
    """An event, and what is true of it: whose praise is where, and since when."""

    event: Event
    phase: int
    moved: bool
    """Whether praise moved at the beginning of this phase."""
    shelf: str
    """The category that is praised."""
    stars: int
    """What a review means, whether it says so or not; 0 of anything else."""


def course(
    seed: int, shoppers: int, raters: int, language: Language
) -> tuple[list[Planned], list[Item]]:
    """A log in time order, and the items that it is about."""
    rng, words = Random(seed), WORDS[language]
    wares = Catalogue(rng, ITEMS, words)
    log: list[Planned] = []
    for number in range(shoppers):
        log += _shopper(rng, wares, f"shopper-{number:03}")
    for number in range(raters):
        log += _rater(rng, wares, f"rater-{number:03}")
    log.sort(key=lambda one: one.event.ts_ms)
    return log, [ware.item for ware in wares.wares]


def _shopper(rng: Random, wares: Catalogue, user_id: str) -> Iterator[Planned]:
    praised, other = rng.sample(range(len(SHELVES)), k=2)
    writes = _Writes(rng, wares, user_id, START_MS + rng.randrange(50 * GAP_MS))
    for phase in range(PHASES):
        moved = phase > 1 and rng.random() < MOVES
        if moved:
            praised, other = other, praised
        name = " > ".join(wares.words.shelves[praised].path)
        acts: list[tuple[Kind, int]] = [("click", praised), ("click", other)] * (CLICKS // 2)
        acts += [("review", praised), ("review", other)] * (REVIEWS // 2)
        rng.shuffle(acts)
        for kind, shelf in [*acts, ("purchase", praised)]:
            stars = 0
            if kind == "review":
                stars = rng.choice((4, 5)) if shelf == praised else rng.choice((1, 2))
            event = writes.event(kind, rng.choice(wares.on_shelf[shelf]), stars, rated=False)
            yield Planned(event, phase, moved, name, stars)


def _rater(rng: Random, wares: Catalogue, user_id: str) -> Iterator[Planned]:
    writes = _Writes(rng, wares, user_id, START_MS + rng.randrange(GAP_MS))
    for _ in range(RATED):
        stars = rng.randint(1, 5)
        event = writes.event("review", rng.randrange(len(wares.wares)), stars, rated=True)
        yield Planned(event, 0, moved=False, shelf="", stars=stars)


class _Writes:
    """One user's events, one after the other."""

    def __init__(self, rng: Random, wares: Catalogue, user_id: str, now_ms: int) -> None:
        self._rng, self._wares, self._user_id, self._now_ms = rng, wares, user_id, now_ms
        self._count = 0

    def event(self, kind: Kind, ware: int, stars: int, *, rated: bool) -> Event:
        """The next event; a review with so many stars says so in words, with `rated` in stars."""
        words, rng = self._wares.words, self._rng
        self._count += 1
        self._now_ms += rng.randrange(GAP_MS // 2, 3 * GAP_MS // 2)
        return Event(
            event_id=f"{self._user_id}-{self._count}",
            user_id=self._user_id,
            item_id=self._wares.wares[ware].item.item_id,
            kind=kind,
            ts_ms=self._now_ms,
            source=f"{self._user_id}-0-{self._count}",
            received_ms=self._now_ms,
            rating=float(stars) if rated else None,
            title=rng.choice(words.headlines[stars]) if stars else "",
            text=rng.choice(words.praise[stars]) if stars else "",
        )
