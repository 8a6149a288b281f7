"""The ingest bench: what it sends is good, its clock is fair, its bars are judged as they say."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from infra.bench.ingest import USERS, bars, clicks
from infra.bench.meter import Meter
from stream.batching import PlainRecord, Run
from stream.ingest import Ingest

RATES = {
    "raw aiokafka": 500_000.0,
    "ingest": 200_000.0,
    "ingest without producing": 190_000.0,
    "stock faust": 5_000.0,
    "quix streams, consuming alone": 50_000.0,
}


def test_every_click_is_an_event_of_its_own() -> None:
    sent = list(clicks(2 * USERS))
    run = Run("clicks", 0, [PlainRecord(one.key, one.value, n) for n, one in enumerate(sent)])
    result = Ingest({"clicks": "clicks"}).take(run, time.time_ns() // 1_000_000)
    assert (len(result.events), result.duplicates, result.dead_letters) == (2 * USERS, 0, [])
    assert set(Counter(event.key for event in result.events).values()) == {2}


def test_the_clock_leaves_out_what_comes_before_the_first_tenth() -> None:
    meter = Meter(100)
    time.sleep(0.2)
    meter.count(10)
    meter.count(45)
    assert not meter.done
    time.sleep(0.02)
    meter.count(45)
    assert meter.done
    assert 90 / 0.2 < meter.figures()["events_per_s"] < 90 / 0.02


def test_the_bars_are_ratios_to_what_was_measured_beside() -> None:
    found = {bar.name: (bar.ratio, bar.holds) for bar in bars(RATES)}
    assert found == {
        "ingest/quix": (4.0, False),
        "ingest/faust": (40.0, True),
        "ingest/raw": (pytest.approx(0.38), False),
    }


def test_without_the_other_tools_nothing_is_judged_against_them() -> None:
    few = {name: rate for name, rate in RATES.items() if "quix" not in name}
    assert [bar.holds for bar in bars(few)] == [None, True, False]
