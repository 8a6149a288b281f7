"""The screen lets every event through that has enough evidence, and few others."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalog import Catalog
from features.interest import NO_FACTS, ItemFacts, ItemSpace, likeness
from features.shift import evidence
from features.shift_screen import may_show
from stream.events import ItemVector

LEAST = 8.0
SHELVES = [("Home", "Tea"), ("Home", "Mugs"), ("Bikes",), ()]


def _space() -> ItemSpace:
    """Twelve items on three shelves and on none, a third of them without a text."""
    catalog, rng = Catalog(width=64), np.random.default_rng(0)
    catalog.upsert(
        [
            ItemVector(
                item_id=f"i{n}",
                vector=b"" if n % 3 == 0 else rng.standard_normal(64).astype("<f2").tobytes(),
                encoder="test",
                text_hash="",
                first_seen_ms=0,
                category=SHELVES[n % 4],
            )
            for n in range(12)
        ]
    )
    return ItemSpace(catalog)


FACTS = [NO_FACTS, *_space().facts_of([f"i{n}" for n in range(12)])]
FEW = [FACTS[0], FACTS[1], FACTS[2], FACTS[3], FACTS[5]]

histories = st.lists(
    st.tuples(
        st.lists(st.sampled_from(FACTS), max_size=40) | st.lists(st.sampled_from(FEW), max_size=40),
        st.sampled_from(FACTS),
        st.integers(1, 10),
    ).map(lambda parts: [*parts[0], *[parts[1]] * parts[2]][-50:]),
    min_size=1,
    max_size=5,
)


@given(histories)
@settings(max_examples=300, deadline=None)
def test_whatever_has_enough_evidence_passes(users: list[list[ItemFacts]]) -> None:
    flat: list[ItemFacts] = []
    windows, wanted = [], []
    for steps in users:
        windows.append((len(flat), len(flat) + len(steps)))
        flat += steps
        wanted.append(len(steps) >= 11 and evidence(likeness(steps), 10, LEAST) >= LEAST)
    found = may_show(flat, windows, 10, LEAST)
    assert all(may for may, must in zip(found, wanted, strict=True) if must)


def test_a_steady_shopper_does_not_pass() -> None:
    tea, bike = FACTS[1], FACTS[3]
    assert (tea.category, bike.category) == ("Home > Tea", "Bikes")
    steps = [tea, tea, bike] * 15
    assert not may_show(steps, [(0, end) for end in range(1, 46)], 10, LEAST).any()
    assert may_show([tea] * 30 + [bike] * 8, [(0, 38)], 10, LEAST).all()
