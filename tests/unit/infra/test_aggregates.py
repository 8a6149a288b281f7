"""Counts that hide each user: what counts, how much noise there is, and that the file says so."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from infra.aggregates import OpenDpNoise, aggregates, told_by_users, write
from infra.cli import cli
from stream.errors import SettingsError
from stream.events import Event, Kind

CATEGORIES = {f"item-{n}": f"Shelf {n % 6}" for n in range(60)}
BOUGHT: frozenset[Kind] = frozenset({"purchase"})


def event(user_id: str, item: int, ms: int, kind: Kind = "purchase") -> Event:
    return Event(
        event_id=f"{user_id}-{item}-{ms}",
        user_id=user_id,
        item_id=f"item-{item}",
        kind=kind,
        ts_ms=ms,
        received_ms=ms,
        source="",
    )


class NoNoise:
    """Nothing is hidden."""

    epsilon = float("inf")

    def __call__(self, counts: Sequence[int]) -> list[int]:
        return list(counts)


def test_each_user_counts_once_in_a_category_and_in_so_many_at_most() -> None:
    events = [event("ann", n, n) for n in range(60)] + [event("bob", 3, n) for n in range(9)]
    events += [event("bob", 1, 99, "view"), event("bob", 99, 99)]
    told = told_by_users(events, CATEGORIES, BOUGHT, per_user=2)
    assert told == {"ann": {"Shelf 5", "Shelf 4"}, "bob": {"Shelf 3"}}
    rows = aggregates(told, list(CATEGORIES.values()), NoNoise())
    assert {row.category: row.users for row in rows} == {
        "Shelf 0": 0,
        "Shelf 1": 0,
        "Shelf 2": 0,
        "Shelf 3": 1,
        "Shelf 4": 1,
        "Shelf 5": 1,
    }


def test_one_user_more_changes_the_counts_by_no_more_than_their_share() -> None:
    rng = np.random.default_rng(2)
    events = [event(f"u{rng.integers(30)}", int(rng.integers(60)), n) for n in range(600)]
    for per_user in (1, 3):
        told = told_by_users(events, CATEGORIES, BOUGHT, per_user)
        whole = aggregates(told, list(CATEGORIES.values()), NoNoise())
        for user_id in told:
            others = {name: own for name, own in told.items() if name != user_id}
            less = aggregates(others, list(CATEGORIES.values()), NoNoise())
            gaps = [abs(a.users - b.users) for a, b in zip(whole, less, strict=True)]
            assert sum(gaps) <= per_user


def test_the_noise_is_as_large_as_epsilon_asks() -> None:
    pytest.importorskip("opendp")
    for epsilon, per_user in ((1.0, 4), (0.5, 1)):
        noise = OpenDpNoise(epsilon, per_user)
        assert noise.epsilon == pytest.approx(epsilon, rel=1e-6)
        errors = np.array(noise([1_000] * 5_000)) - 1_000
        assert abs(errors.mean()) < 0.5
        # Laplace noise of scale b has the mean distance b.
        assert np.abs(errors).mean() == pytest.approx(per_user / epsilon, rel=0.08)


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opendp.domains", None)
    with pytest.raises(SettingsError, match="pip install opendp"):
        OpenDpNoise(1.0, 4)


def test_the_file_says_how_private_it_is(tmp_path: Path) -> None:
    rows = aggregates({"ann": {"Shelf 1"}}, ["Shelf 1", "Shelf 2"], NoNoise())
    write(rows, tmp_path / "told.parquet", {"epsilon": "1"})
    table = pq.read_table(tmp_path / "told.parquet")
    assert table.schema.metadata[b"tidemill.epsilon"] == b"1"
    assert table.to_pydict() == {"category": ["Shelf 1", "Shelf 2"], "users": [1, 0]}


def test_the_command_says_how_it_is_used() -> None:
    shown = CliRunner().invoke(cli, ["export", "aggregates", "--help"])
    assert shown.exit_code == 0
    assert "tidemill export aggregates --epsilon 1" in shown.output
