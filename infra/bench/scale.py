"""How time and memory grow with items, users, partitions and the length of a history.

Each size is a process of its own (`infra.bench.growing`). A line is judged by its exponent
p in `y = a x^p`, fitted on a log-log scale: 1 is linear. The picture is `scale.svg` in the bench's
folder (`--keep`), the sizes of a shop's machines follow from `infra.bench.sizing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from infra.bench.apart import apart
from infra.bench.bar import Bar, Run
from infra.bench.fed import START_MS, item, user
from infra.bench.topic import broker, create, fill
from stream.events import Click, json_encode
from stream.outgoing import Outgoing

MOST = 1.15
"""The exponent that still counts as linear: what a machine's caches add is not ours."""

FLAT = 0.15
"""The same for what shouldn't grow at all."""

ITEMS, USERS = (10_000, 100_000, 1_000_000), (10_000, 100_000, 1_000_000)
PARTITIONS, STEPS = (1, 2, 4, 8), (20, 50, 200)

SHOP, PAST = 10_000, 10
"""Items and steps where they are not what grows."""

EVENTS = 100_000
"""Taken by ingest, however many partitions they lie on."""

MACHINE_MB = 24 * 1024 * 1.048576
STATE_BYTES = 2_048
TABLE_MB = 512
"""What a table may hold in memory, whatever is on its disk."""


class Line(NamedTuple):
    """What grew: `y` over `x`."""

    name: str
    x_name: str
    unit: str
    x: Sequence[float]
    y: Sequence[float]
    most: float = MOST

    @property
    def exponent(self) -> float:
        """The exponent, by least squares on a log-log scale.

        >>> round(Line("a", "items", "ms", [1, 10, 100], [2, 20, 200]).exponent, 6)
        1.0
        """
        return float(np.polyfit(np.log(self.x), np.log(self.y), 1)[0])

    @property
    def worst(self) -> float:
        """The steepest exponent between two neighbouring sizes: a bend hides in a fit.

        >>> round(Line("a", "items", "ms", [1, 10, 100], [2, 2, 200]).worst, 6)
        2.0
        """
        pairs = pairwise(zip(np.log(self.x), np.log(self.y), strict=True))
        return max(float((b - d) / (a - c)) for (c, d), (a, b) in pairs)

    def bar(self) -> Bar:
        """As a figure."""
        return Bar(
            name=f"scale/{self.name}",
            value=self.exponent,
            unit=f"exponent of {self.unit} over {self.x_name}",
            against={f"{x:,.0f}": y for x, y in zip(self.x, self.y, strict=True)}
            | {"steepest": self.worst},
            bar=f"≤ {self.most:g}",
            holds=self.exponent <= self.most,
        )


def measure(run: Run) -> Iterator[Bar]:
    """Let all of it grow, and draw it."""
    lines: list[Line] = []
    for part in (items, users, partitions, histories):
        for one in part(run):
            if isinstance(one, Line):
                lines.append(one)
                yield one.bar()
            else:
                yield one
    try:
        from infra.bench.scale_plot import draw  # noqa: PLC0415 - Matplotlib is for development
    except ModuleNotFoundError as error:
        run.say(f"no picture: {error}")
    else:
        draw(lines, run.folder / "scale.svg")
        run.say(f"drawn in {run.folder / 'scale.svg'}")


def items(run: Run) -> Iterator[Line | Bar]:
    """Ranking, learning and memory, with the catalogue."""
    sizes = [run.sized(size, least=size // 100) for size in ITEMS]
    held_mb = 0.0
    for role in ("learner", "server"):
        found = [apart(f"infra.bench.growing:{role}", size, PAST) for size in sizes]
        run.say(f"{role}: {sizes} items")
        held_mb += found[-1]["resident_mb"]
        yield Line(f"items-{role}-time", "items", "ms", sizes, [one["ms"] for one in found])
        yield Line(f"items-{role}-memory", "items", "MB", sizes, [one["mb"] for one in found])
    yield Bar(
        name="scale/items-memory",
        value=held_mb,
        unit=f"MB, learner and serving with {sizes[-1]:,} items",
        bar=f"< {MACHINE_MB:,.0f}",
        holds=held_mb < MACHINE_MB,
    )


def users(run: Run) -> Iterator[Line | Bar]:
    """The profile's table, with its users."""
    sizes = [run.sized(size, least=size // 100) for size in USERS]
    found = [apart("infra.bench.growing:users", size) for size in sizes]
    last = found[-1]
    yield Line("users-time", "users", "s", sizes, [one["s"] for one in found])
    yield Bar(
        name="scale/users-disk",
        value=last["bytes_per_user"],
        unit=f"bytes a user, {sizes[-1]:,} users",
        against={"state": last["state_bytes"], "users written a second": last["users_per_s"]},
        bar=f"≤ {STATE_BYTES}",
        holds=last["bytes_per_user"] <= STATE_BYTES,
    )
    yield Bar(
        name="scale/users-memory",
        value=last["mb"],
        unit=f"MB more with {sizes[-1]:,} users",
        against={f"{size:,}": one["mb"] for size, one in zip(sizes, found, strict=True)},
        bar=f"< {TABLE_MB}, bounded",
        holds=last["mb"] < TABLE_MB,
    )


def partitions(run: Run) -> Iterator[Line]:
    """Ingest's time per event, with the partitions of its topics."""
    events = run.sized(EVENTS, least=2_000)
    times = []
    for count in PARTITIONS:
        here = run._replace(folder=run.folder / f"partitions-{count}")
        here.folder.mkdir(parents=True)
        topics = dict.fromkeys(("clicks", "purchases", "reviews", "events", "dead-letters"), count)
        with broker(here) as kafka:
            create(kafka.bootstrap_servers, topics)
            asyncio.run(fill(kafka, "clicks", clicks(events, count)))
            found = apart("infra.bench.ingest_ours:whole", kafka.bootstrap_servers, "bench", events)
        run.say(f"{count} partitions: {found['events_per_s']:,.0f} events/s")
        times.append(1e6 / found["events_per_s"])
    yield Line("partitions", "partitions", "µs an event", PARTITIONS, times, most=FLAT)


def clicks(events: int, count: int) -> Iterator[Outgoing]:
    """Clicks in turn on so many partitions."""
    for n in range(events):
        value = json_encode(
            Click(user_id=user(n), item_id=item(n), ts=START_MS + n, event_id=f"e{n}")
        )
        yield Outgoing(key=None, value=value, partition=n % count)


def histories(run: Run) -> Iterator[Line]:
    """A micro-batch of the learner, and of serving, with the length of the histories."""
    sold = run.sized(SHOP, least=1_000)
    for role in ("learner", "server"):
        found = [apart(f"infra.bench.growing:{role}", sold, steps) for steps in STEPS]
        run.say(f"{role}: histories of {STEPS}")
        yield Line(f"history-{role}", "steps", "ms", STEPS, [one["ms"] for one in found])
