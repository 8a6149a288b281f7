"""Users are forgotten on a whole stack, and every byte is searched for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.forget import Store, failures, play

pytestmark = pytest.mark.slow


EVENTS = 6
"""Of each user, before: enough to be described in words."""


@pytest.mark.timeout(600)  # a whole stack starts, and is searched through
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_nothing_of_who_is_forgotten_is_left(store: Store, tmp_path: Path) -> None:
    figures = play(tmp_path / "stack", store, users=24, erased=4, events=EVENTS, quick=True)
    assert failures(figures, EVENTS) == [], figures
    assert figures["letters_erased"] > 0 and figures["letters_of_others"] > 0
