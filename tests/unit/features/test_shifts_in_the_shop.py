"""Planted shifts on the simulated shop: found soon, and steady shoppers are left in peace.

`python -m tests.bench shifts` measures the same at full length, with real text vectors. Here the
shop's categories alone speak: item vectors are drawn around one direction for each.
"""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from features.interest import InterestConfig
from features.profile_state import EMPTY, decode, encode
from features.shift import DetectorState, ShiftState, evidence
from stream.shop import Shop
from tests.bench._shift_users import Found, measure_users
from tests.unit.drawn_vectors import drawn_catalogue


def test_most_shifts_are_found_within_ten_events_and_few_steady_shoppers_suspected() -> None:
    found = Found()
    for seed in (101, 102, 103):
        shop = Shop(seed)
        log = shop.clean_events(8_000)
        measure_users(shop, log, drawn_catalogue(shop, seed), found, InterestConfig())
    figures = found.figures()
    assert figures["planted"] > 100
    assert figures["found_share"] >= 0.75, figures
    assert figures["right_share"] >= 0.85, figures
    assert figures["suspected_share"] <= 0.06, figures


def test_evidence_needs_events_on_both_sides() -> None:
    assert evidence([1.0] * 10, recent=10) < 1.0
    assert evidence([0.0] * 7 + [1.0] * 3, recent=10) == 0.0
    assert evidence([0.0] * 20 + [1.0] * 2, recent=10) < evidence([0.0] * 20 + [1.0] * 4, recent=10)


@given(
    past=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=8, max_size=40),
    new=st.integers(3, 9),
)
def test_more_events_on_what_is_new_are_more_evidence(past: list[float], new: int) -> None:
    fewer, more = ([*past, *([1.0] * n)] for n in (new, new + 1))
    assert evidence(more, recent=new + 1) >= evidence(fewer, recent=new) - 1e-9


@given(
    agreed=st.integers(0, 20),
    count=st.integers(0, 2**31),
    divergence=st.floats(0, 2),
    name=st.text(max_size=40),
)
def test_what_is_remembered_of_shifts_survives_as_bytes(
    agreed: int, count: int, divergence: float, name: str
) -> None:
    shift = ShiftState(DetectorState(3, 0.25, 1.5, -0.5), divergence, 7, count, 1_000, name, agreed)
    profile = msgspec.structs.replace(EMPTY, shift=shift)
    assert decode(encode(profile)) == profile


def test_a_state_from_before_there_was_a_second_witness_is_read() -> None:
    old = msgspec.msgpack.encode([[3, 0.25, 1.5, -0.5], 0.5, 7, 2, 1_000, "Tea"])
    assert msgspec.msgpack.decode(old, type=ShiftState) == ShiftState(
        DetectorState(3, 0.25, 1.5, -0.5), 0.5, 7, 2, 1_000, "Tea", agreed=0
    )
