"""How many planted shifts of single shoppers are found, how soon, and who is suspected wrongly.

A shift counts as found if it is reported at one of the shopper's first ten events after it; those
that the log ends too soon for aren't counted. A shopper who never shifted is suspected if a shift
is reported at any time of the run; those with fewer events than a shift needs aren't counted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from features.catalog import Catalog
from features.drift_river import PageHinkleyDetector
from features.interest import InterestConfig, ItemSpace
from features.profile import InterestModel, Place, apply
from features.profile_state import EMPTY
from stream.events import Event
from stream.shop import Shop

WITHIN = 10
"""A shopper's events in which a shift is to be found."""


@dataclass
class Found:
    """What came of the shoppers of some shops."""

    planted: int = 0
    found: int = 0
    right: int = 0
    """Of the found, those whose new category is named."""
    steady: int = 0
    suspected: int = 0
    reports: int = 0
    delays: list[int] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0

    def figures(self) -> dict[str, float]:
        """As printed."""
        return {
            "planted": self.planted,
            "found_share": round(self.found / max(1, self.planted), 3),
            "right_share": round(self.right / max(1, self.found), 3),
            "delay_median": float(np.median(self.delays)) if self.delays else -1.0,
            "steady": self.steady,
            "suspected_share": round(self.suspected / max(1, self.steady), 3),
            "reports": self.reports,
            "reports_found_share": round(self.found / max(1, self.reports), 3),
            "us_per_event": round(1e6 * self.seconds / max(1, self.events), 1),
        }


def measure_users(
    shop: Shop, log: list[Event], catalog: Catalog, into: Found, config: InterestConfig
) -> None:
    """Let every shopper's profile follow the log, and compare its reports with the truth."""
    model = InterestModel(ItemSpace(catalog), PageHinkleyDetector(config), config)
    of_user: dict[str, list[Event]] = defaultdict(list)
    for event in log:
        if not event.user_id.startswith("bot-"):
            of_user[event.user_id].append(event)
    planted = defaultdict(list)
    for shift in shop.planted_shifts:
        planted[shift.user_id].append(shift)
    for user_id, events in of_user.items():
        profile, reports = EMPTY, list[tuple[int, str]]()
        began = perf_counter()
        for n, event in enumerate(events):
            applied = apply(profile, event, Place(0, n), model)
            profile = applied.profile
            if applied.shift is not None:
                reports.append((n, applied.shift.to_category))
        into.seconds += perf_counter() - began
        into.events += len(events)
        into.reports += len(reports)
        if user_id not in planted and len(events) >= shop.config.shift_after:
            into.steady += 1
            into.suspected += bool(reports)
        for shift in planted[user_id] if user_id in planted else ():
            at = shift.user_events
            if len(events) < at + WITHIN:
                continue
            hits = [(n - at, name) for n, name in reports if at <= n < at + WITHIN]
            into.planted += 1
            into.found += bool(hits)
            into.right += " > ".join(shift.to_category) in [name for _, name in hits]
            into.delays += [n + 1 for n, _ in hits[:1]]
