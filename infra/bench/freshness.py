"""From an event to weights that have learnt it and are serving, on the whole stack.

The roles run as processes on a broker of their own, and the simulated shop plays at 100 events a
second, as in `tidemill demo`. The clock starts at the Kafka timestamp of a shop's raw record and
stops at the first recommendation made with a version that has learnt the event
(`infra.demo.freshness`). Events of the last seconds wait for the version that is made when the
shop has closed; they count, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import torch
from rich.console import Console

from infra.bench.bar import Bar, Run
from infra.bench.stack import OwnStack
from infra.config import MetricsConfig
from infra.demo.command import processes
from infra.demo.figures import Figures
from infra.demo.performance import Performance
from infra.demo.play import PlayConfig
from infra.demo.screen import PlainScreen
from infra.demo.script import ShopScript
from infra.settings import Settings
from learner.config import LearnerConfig
from stream.clock import SystemClock
from stream.errors import TidemillError

EVENTS = 12_000
RATE_PER_S = 100.0
SEED = 7

ON_CPU_S, ON_GPU_S = 30.0, 5.0
"""The bars, of the 95th percentile."""

OTHERS_S = {"Monolith (published)": 60.0, "Gorse (its default)": 3_600.0}
"""Monolith syncs parameters every minute (arXiv 2209.07663, 4.3); Gorse refits every hour."""


class Faulty(TidemillError):
    """Something was lost, or stood still: the figure would be of another program."""


def measure(run: Run) -> Iterable[Bar]:
    """Yield the 95th percentile, with the median beside it."""
    events = run.sized(EVENTS, least=600)
    figures = play(run, events)
    if faults := figures.faults():
        raise Faulty("; ".join(faults))
    return bars(figures, gpu=torch.cuda.is_available())


def play(run: Run, events: int) -> Figures:
    """Play the shop on a stack of its own; what the audit found."""
    clock = SystemClock()
    settings = Settings.load().with_values({"serving.push": True}, "the bench")
    performance = Performance(
        ShopScript(SEED, RATE_PER_S, clock),
        config=PlayConfig(rate_per_s=RATE_PER_S),
        clock=clock,
        planned=events,
        metrics=settings.section(MetricsConfig),
    )
    with OwnStack(run.folder, settings) as stack:
        run.say(f"the stack is up; {events:,} events follow, {RATE_PER_S:.0f} a second")
        outcome = performance.perform(
            stack.supervisor.kafka,
            partial(processes, stack.supervisor),
            PlainScreen(Console(stderr=True)),
        )
    return outcome.figures


def bars(figures: Figures, *, gpu: bool) -> Iterator[Bar]:
    """Judge what the audit found."""
    waits = figures.event_to_weights_s
    p95 = waits["p95"]
    if p95 is None:
        msg = "no answer was made with weights that had learnt an event"
        raise Faulty(msg)
    beside = {"median": waits["p50"] or 0.0, **OTHERS_S}
    at = {"cpu": not gpu, "gpu": gpu}
    for device, most in (("cpu", ON_CPU_S), ("gpu", ON_GPU_S)):
        measured = at[device]
        yield Bar(
            name=f"freshness/{device}",
            value=p95 if measured else 0.0,
            unit="s",
            against=beside if measured else {},
            ratio=p95 / most if measured else None,
            bar=f"p95 ≤ {most:.0f} s" + ("" if measured else f" on a {device.upper()}, not here"),
            holds=p95 <= most if measured else None,
        )
    every = LearnerConfig().publish_every_s
    yield Bar(
        name="freshness/versions",
        value=figures.events / max(figures.adapter_versions, 1) / RATE_PER_S,
        unit="s from version to version",
        against={"asked for": every},
    )
