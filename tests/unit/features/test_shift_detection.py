"""How many planted shifts are found, how soon, and how many users are suspected without cause.

Shoppers look at their main interest in three of four events and at a side interest or something at
random else. Some swap the main interest for another at a known event. Item vectors have the
geometry of a sentence encoder's: cosine about 0.5 within a category, 0.15 between categories.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest

from features.catalog import Catalog
from features.drift_river import PageHinkleyDetector
from features.interest import InterestConfig, ItemSpace
from features.profile import InterestModel, Place, apply
from features.profile_state import EMPTY
from stream.events import Event, InterestShift, ItemVector, Kind

CATEGORIES = 12
ITEMS_EACH = 25
WIDTH = 384
EVENTS = 60
KINDS: tuple[Kind, ...] = ("view", "view", "view", "click", "click", "cart", "purchase")

WITHIN_EVENTS = 10


@dataclass(frozen=True)
class Shopper:
    """Whose interest moves before event `shift_at`, or never."""

    events: list[Event]
    shift_at: int | None
    new: str


def make_catalog(seed: int) -> Catalog:
    rng = np.random.default_rng(seed)

    def direction() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        drawn = rng.standard_normal(WIDTH)
        return drawn / np.linalg.norm(drawn)

    common, centres = direction(), [direction() for _ in range(CATEGORIES)]
    items = []
    for number in range(CATEGORIES * ITEMS_EACH):
        category = number % CATEGORIES
        vector = 0.39 * common + 0.59 * centres[category] + 0.71 * direction()
        items.append(
            ItemVector(
                item_id=f"item-{number}",
                vector=(vector / np.linalg.norm(vector)).astype("<f2").tobytes(),
                encoder="test",
                text_hash="",
                first_seen_ms=0,
                category=(f"category-{category}",),
            )
        )
    catalog = Catalog(WIDTH)
    catalog.upsert(items)
    return catalog


def make_shopper(rng: Random, number: int, shifts: bool) -> Shopper:
    main, side, other = rng.sample(range(CATEGORIES), 3)
    shift_at = rng.randrange(25, 45) if shifts else None
    events = []
    for n in range(EVENTS):
        interest = other if shift_at is not None and n >= shift_at else main
        draw = rng.random()
        category = interest if draw < 0.75 else side if draw < 0.9 else rng.randrange(CATEGORIES)
        item = category + CATEGORIES * rng.randrange(ITEMS_EACH)
        events.append(
            Event(
                event_id=f"{number}-{n}",
                user_id=f"user-{number}",
                item_id=f"item-{item}",
                kind=rng.choice(KINDS),
                ts_ms=1_000 * n,
                source=f"clicks-0-{number * EVENTS + n}",
                received_ms=1_000 * n,
            )
        )
    return Shopper(events, shift_at, f"category-{other}")


def found_shifts(shopper: Shopper, model: InterestModel) -> list[tuple[int, InterestShift]]:
    """The shifts reported, with the number of the event that led to each."""
    profile, found = EMPTY, []
    for n, event in enumerate(shopper.events):
        applied = apply(profile, event, Place(0, n), model)
        profile = applied.profile
        if applied.shift is not None:
            found.append((n, applied.shift))
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_shifts_are_found_soon_and_rarely_imagined(seed: int) -> None:
    config = InterestConfig()
    model = InterestModel(ItemSpace(make_catalog(seed)), PageHinkleyDetector(config), config)
    rng = Random(seed)
    shifted = [make_shopper(rng, n, shifts=True) for n in range(150)]
    steady = [make_shopper(rng, n, shifts=False) for n in range(150)]
    hits, right = 0, 0
    for shopper in shifted:
        assert shopper.shift_at is not None
        window = range(shopper.shift_at, shopper.shift_at + WITHIN_EVENTS)
        reports = [shift for n, shift in found_shifts(shopper, model) if n in window]
        hits += bool(reports)
        right += any(shift.to_category == shopper.new for shift in reports)
    suspected = sum(bool(found_shifts(shopper, model)) for shopper in steady)
    assert hits / len(shifted) >= 0.8, f"{hits} of {len(shifted)} shifts found"
    assert right / hits >= 0.9, f"{right} of {hits} shifts led to the right category"
    assert suspected / len(steady) <= 0.05, f"{suspected} of {len(steady)} suspected"
