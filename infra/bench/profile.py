"""The profile beside Quix Streams' state, and its rows beside Feast's own way of writing them.

The profile reads `events` from 4 partitions and keeps each user's history, interests and counts in
a table with a changelog, looks for shifts, writes whole rows to the online store and an example for
every event. Quix Streams only counts the events of each user, in state with a changelog. Both read
the same topic, as processes and groups of their own, in turns; the best turn counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from infra.bench.bar import Bar, Run
from infra.bench.contest import Side, best_rates, script
from infra.bench.profile_shop import ProfileShop
from infra.bench.profile_store import store_bars
from infra.bench.topic import broker, fill

EVENTS = 100_000
PARTITIONS = 4
TURNS = 3

OURS = "infra.bench.profile_ours:profile"
QUIX = "quix streams, counting"

_TOPICS = {
    "events": PARTITIONS,
    "examples": PARTITIONS,
    "interest-shifts": PARTITIONS,
    "profiles": PARTITIONS,
    "choices": 1,
}
_OTHERS = {"forget": PARTITIONS, "readings": PARTITIONS, "item-vectors": 1, "dead-letters": 1}


def measure(run: Run) -> Iterable[Bar]:
    """Yield the profile's events/s beside Quix Streams', and the online store's rows/s."""
    shop = ProfileShop(run.sized(EVENTS, least=1_000))
    run.say(f"{len(shop.events):,} events of a simulated shop")
    yield from _against_quix(run, shop)
    yield from store_bars(run, shop)


def _against_quix(run: Run, shop: ProfileShop) -> Iterator[Bar]:
    count = len(shop.events)
    sides = {"profile": Side(OURS, count, (run.folder,))}
    if run.tools is not None:
        sides[QUIX] = Side(script("profile_quix.py"), count, (run.folder,), run.tools)
    with broker(run, _TOPICS | _OTHERS) as kafka:
        asyncio.run(fill(kafka, "events", shop.event_records()))
        asyncio.run(fill(kafka, "item-vectors", shop.item_records()))
        best = best_rates(run, kafka.bootstrap_servers, sides, TURNS)
    quix = best.get(QUIX)
    ratio = best["profile"] / quix if quix else None
    yield Bar(
        name="profile/quix",
        value=best["profile"],
        unit="events/s",
        against={QUIX: quix} if quix else {},
        ratio=ratio,
        bar=f"≥ {QUIX}",
        holds=None if ratio is None else ratio >= 1,
    )
