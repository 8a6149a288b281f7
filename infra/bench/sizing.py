"""What a shop of a size needs, computed from what one core was measured to do.

    python -m infra.bench.sizing docs/SCALING.md

reads the table of figures at the top of the page and writes the rest of it anew.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

RATES = (10_000, 100_000, 1_000_000)
"""Events a second that the page is computed for."""

BEGIN, END = "<!-- computed from here -->", "<!-- to here -->"

_ROW = re.compile(r"^\| `(\w+)` \| ([\d.,]+|–) \|", re.MULTILINE)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and what is assumed of the shop. Rates are per second.

    Attributes
    ----------
    ingest, profile
        Events that one core takes, Kafka's client included.
    learner_cpu, learner_gpu
        Examples that one learner takes on two cores, and on a GPU; 0 where nobody has measured it.
    serving
        Lists that one core makes.
    store
        Rows of users that one Redis writes, or reads.
    rows_per_event, lists_per_event
        A run writes a user's row once, whatever it holds of them; not every event asks for a list.
    busy
        Share of its time that anything should be at work at most, at the busiest hour.
    event_bytes, example_bytes, state_bytes, row_bytes
        Of one record: raw and validated together, an example, a state, a row of the store.
    squeezed
        What lz4 leaves of them on the wire.
    broker_mb
        MB a second that one broker takes, writes and copies together.
    users
        Who are known.
    """

    ingest: float
    profile: float
    learner_cpu: float
    learner_gpu: float
    serving: float
    store: float
    rows_per_event: float
    lists_per_event: float
    busy: float
    event_bytes: float
    example_bytes: float
    state_bytes: float
    row_bytes: float
    squeezed: float
    broker_mb: float
    users: float


class Need(NamedTuple):
    """What a part needs at a rate.

    Attributes
    ----------
    part
        What it is.
    needed
        Cores, or learners, shards, brokers.
    most
        Events per second that one of them takes.
    """

    part: str
    needed: float
    most: float


class Plan(NamedTuple):
    """What a rate needs, part by part."""

    rate: int
    partitions: int
    workers: int
    learners_cpu: int
    learners_gpu: int | None
    servers: int
    shards: int
    brokers: int
    network_mb: float
    state_gb: float
    needs: tuple[Need, ...]

    @property
    def bottleneck(self) -> Need:
        """What the most of is needed of: as the rate rises, it is the first to be full."""
        return max(self.needs, key=lambda need: need.needed)


COPIES = 3
"""Of each record, on as many brokers."""

MEGA, GIGA = 1e6, 1e9

_LAG = "`tidemill_consumer_lag_records`"

CHECKS = {
    "ingest and profile": f"{_LAG} of `ingest-profile` rises; `tidemill bench ingest profile`",
    "learner": f"{_LAG} of `learner` rises while others don't; `tidemill bench learn`",
    "serving": "`tidemill_requests_waiting` rises; `tidemill bench serve`",
    "online store": "`tidemill_online_store_seconds` rises; `python -m tests.bench store`",
    "brokers": "publishing slows down, all lags rise together; `python -m tests.bench transport`",
}
"""How to see that a part is full."""


def plan(rate: int, figures: Figures, *, gpu: bool = False) -> Plan:
    """Compute what so many events a second need.

    >>> small = plan(10_000, EXAMPLE)
    >>> small.workers, small.learners_cpu, small.servers, small.shards, small.partitions
    (2, 20, 2, 2, 4)
    >>> small.bottleneck.part
    'learner'
    """
    wanted = rate / figures.busy
    each = 1 / (1 / figures.ingest + 1 / figures.profile)
    workers = math.ceil(wanted / each)
    cpu = math.ceil(wanted / figures.learner_cpu)
    on_gpu = math.ceil(wanted / figures.learner_gpu) if figures.learner_gpu else None
    servers = math.ceil(wanted * figures.lists_per_event / figures.serving)
    rows = figures.rows_per_event + figures.lists_per_event
    shards = math.ceil(wanted * rows / figures.store)
    record_bytes = figures.squeezed * (
        figures.event_bytes + figures.example_bytes + figures.state_bytes * figures.rows_per_event
    )
    # Every record comes in once, is copied to the others, and is read once.
    brokers_mb = rate * record_bytes * (COPIES + 1) / MEGA
    brokers = max(COPIES, math.ceil(brokers_mb / figures.busy / figures.broker_mb))
    rows_mb = rate * figures.row_bytes * rows / MEGA
    learners, learns = cpu, figures.learner_cpu
    if gpu and on_gpu is not None:
        learners, learns = on_gpu, figures.learner_gpu
    return Plan(
        rate=rate,
        partitions=_power_of_two(2 * workers),
        workers=workers,
        learners_cpu=cpu,
        learners_gpu=on_gpu,
        servers=servers,
        shards=shards,
        brokers=brokers,
        network_mb=brokers_mb + rows_mb,
        state_gb=figures.users * figures.state_bytes / GIGA,
        needs=(
            Need("ingest and profile", workers, each),
            Need("learner", learners, learns),
            Need("serving", servers, figures.serving / figures.lists_per_event),
            Need("online store", shards, figures.store / rows),
            Need("brokers", brokers, figures.broker_mb * MEGA / record_bytes / (COPIES + 1)),
        ),
    )


def _power_of_two(count: int) -> int:
    """So many or more; an even share of partitions for each of twice as many workers."""
    return 1 << max(0, count - 1).bit_length()


def read(page: str) -> Figures:
    """Read the figures from the page's table; `–` is not measured."""
    found = {
        name: 0.0 if value == "–" else float(value.replace(",", ""))
        for name, value in _ROW.findall(page)
    }
    return msgspec.convert(found, Figures)


def render(figures: Figures) -> str:
    """Write the computed part of the page."""
    plans = [plan(rate, figures) for rate in RATES]

    def row(name: str, values: list[str]) -> str:
        return f"| {name} | " + " | ".join(values) + " |"

    lines = [
        row("events a second", [f"{one.rate:,}" for one in plans]),
        "|---|" + "---|" * len(plans),
        row("partitions of `events` and of the raw topics", [f"{p.partitions:,}" for p in plans]),
        row("workers of ingest+profile, a core each", [f"{p.workers:,}" for p in plans]),
        row("learners on two cores each", [f"{p.learners_cpu:,}" for p in plans]),
        row("or learners on a GPU each", [_known(p.learners_gpu) for p in plans]),
        row("serving workers, a core each", [f"{p.servers:,}" for p in plans]),
        row("Redis shards", [f"{p.shards:,}" for p in plans]),
        row("brokers", [f"{p.brokers:,}" for p in plans]),
        row("network, all machines, MB/s", [f"{p.network_mb:,.0f}" for p in plans]),
        row("users' states on disk, GB", [f"{p.state_gb:,.1f}" for p in plans]),
        row("first bottleneck", [p.bottleneck.part for p in plans]),
        "",
    ]
    for one in plans:
        ranked = sorted(one.needs, key=lambda need: -need.needed)
        first, second = ranked[0], ranked[1]
        lines += [
            f"**{one.rate:,} events/s.** First full: {first.part}. {first.needed:,} are needed, "
            f"one takes {first.most:,.0f} events/s. Check: {CHECKS[first.part]}. "
            f"Next: {second.part}, {second.needed:,} are needed.",
            "",
        ]
    return "\n".join(lines)


def _known(count: int | None) -> str:
    return "not measured" if count is None else f"{count:,}"


def renewed(page: str) -> str:
    """Return the page with its computed part written anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{render(read(page))}\n{END}{after}"


EXAMPLE = Figures(
    ingest=50_000,
    profile=20_000,
    learner_cpu=1_000,
    learner_gpu=0,
    serving=500,
    store=6_000,
    rows_per_event=0.5,
    lists_per_event=0.05,
    busy=0.5,
    event_bytes=350,
    example_bytes=1_000,
    state_bytes=1_000,
    row_bytes=2_000,
    squeezed=0.5,
    broker_mb=200,
    users=1_000_000,
)
"""Round numbers, for examples and tests."""


def as_table(figures: Figures, sources: Mapping[str, str]) -> str:
    """Write figures as the page's table has them."""
    rows = [
        f"| `{name}` | {value:,.10g} | {sources.get(name, '')} |"
        for name, value in msgspec.structs.asdict(figures).items()
    ]
    return "\n".join(["| figure | value | what it is, and where from |", "|---|---|---|", *rows])


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the page
        sys.exit(__doc__)
    file = Path(sys.argv[1])
    file.write_text(renewed(file.read_text(encoding="utf-8")), encoding="utf-8")
