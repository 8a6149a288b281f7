"""The profile beside Quix Streams' state, and its rows beside Feast's own way of writing them.

The profile reads `events` from 4 partitions and keeps each user's history, interests and counts in
a table with a changelog, looks for shifts, writes whole rows to the online store and an example for
every event. Quix Streams only counts the events of each user, in state with a changelog. Both read
the same topic, as processes and groups of their own, in turns; the best turn counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.bench.apart import apart
from infra.bench.bar import Bar, Run
from infra.bench.profile_shop import ProfileShop
from infra.bench.profile_store import store_bars
from infra.bench.topic import broker, fill

EVENTS = 100_000
PARTITIONS = 4
TURNS = 3

OURS = "infra.bench.profile_ours:profile"
QUIX = "quix streams, counting"

_ROOT = Path(__file__).parents[2]
_TOPICS = {"events": PARTITIONS, "examples": PARTITIONS, "interest-shifts": PARTITIONS}
_OTHERS = {"forget": PARTITIONS, "item-vectors": 1, "dead-letters": 1}


def measure(run: Run) -> Iterable[Bar]:
    """Yield the profile's events/s beside Quix Streams', and the online store's rows/s."""
    shop = ProfileShop(run.sized(EVENTS, least=1_000))
    run.say(f"{len(shop.events):,} events of a simulated shop")
    yield from _against_quix(run, shop)
    yield from store_bars(run, shop)


def _against_quix(run: Run, shop: ProfileShop) -> Iterator[Bar]:
    best: dict[str, float] = {}
    with broker(run, _TOPICS | _OTHERS) as kafka:
        asyncio.run(fill(kafka, "events", shop.event_records()))
        asyncio.run(fill(kafka, "item-vectors", shop.item_records()))
        for turn in range(TURNS):
            for name, rate in _turn(run, kafka.bootstrap_servers, len(shop.events), turn):
                best[name] = max(rate, best.get(name, 0.0))
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


def _turn(run: Run, servers: str, events: int, turn: int) -> Iterator[tuple[str, float]]:
    contest: dict[str, tuple[str, Path | None]] = {"profile": (OURS, None)}
    if run.tools is not None:
        script = Path(__file__).with_name("profile_quix.py")
        contest[QUIX] = (str(script), run.tools)
    # A script's folder would come first on its path, and hide modules of the standard library.
    path = {"PYTHONPATH": str(_ROOT), "PYTHONSAFEPATH": "1"}
    for name, (function, python) in contest.items():
        group = f"{name.split()[0]}-{turn}"
        figures = apart(
            function, servers, group, events, run.folder, python=python, environment=path
        )
        rate, cpu_us = figures["events_per_s"], figures["cpu_us"]
        run.say(f"{name}: {rate:,.0f} events/s, {cpu_us:.1f} µs of its own work each")
        yield name, rate
