"""`tidemill evaluate` as a person runs it, on a tiny log of JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from infra.cli import cli, run
from infra.evaluation_run import load_catalogue, load_events
from learner.config import EncoderConfig, LearnerConfig
from stream.formats import open_log

START_MS = 1_600_000_000_000

ROW_KEYS = [
    *("model", "hr10", "ndcg10", "ndcg10_ci95", "mrr"),
    *("cold_item_hr10", "cold_item_share", "cold_user_ndcg10", "train_s", "score_s"),
]

SMALL = [
    *("--set", "learner.device=cpu", "--set", "learner.model.layers=1"),
    *("--set", "learner.model.heads=1", "--set", "learner.model.width=8"),
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Ten users who go round a → b → c → d."""
    rows = [
        {
            "ts_ms": START_MS + n * 60_000,
            "user_id": f"u{n % 10}",
            "item_id": "abcd"[(n // 10 + n % 10) % 4],
            "kind": "click",
        }
        for n in range(100)
    ]
    path = tmp_path / "tiny" / "events.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_last_line_is_the_figures(log: Path) -> None:
    asked = ["evaluate", str(log), "--models", "popularity,covisitation,prior", "--seeds", "1"]
    said = CliRunner().invoke(cli, [*asked, "--history", "0.5", "--batch", "4", "--json", *SMALL])
    assert said.exit_code == 0, said.output
    figures = json.loads(said.stdout.splitlines()[-1])
    assert list(figures) == ["data", "events", "streamed", "items", "users", "rows"]
    assert [figures[key] for key in list(figures)[:5]] == ["tiny", 100, 50, 4, 10]
    assert [row["model"] for row in figures["rows"]] == ["popularity", "covisitation", "prior"]
    assert all(list(row) == ROW_KEYS for row in figures["rows"])
    by_name = {row["model"]: row for row in figures["rows"]}
    assert by_name["covisitation"]["ndcg10"] == 1.0
    assert by_name["covisitation"]["ndcg10_ci95"] == [1.0, 1.0]
    assert by_name["covisitation"]["cold_item_hr10"] is None  # there is none
    assert by_name["prior"]["train_s"] is None  # it runs inside `online`
    table = said.stdout.splitlines()[:-1]
    assert any("covisitation next" in line and "1.0000" in line for line in table)


def test_the_picture_is_drawn(log: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curve.svg"
    asked = ["evaluate", str(log), "--models", "popularity,covisitation", "--plot", str(picture)]
    said = CliRunner().invoke(cli, asked)
    assert said.exit_code == 0, said.output
    drawn = picture.read_text()
    assert "<svg" in drawn
    assert "covisitation" in drawn


def test_a_missing_matplotlib_is_said_in_one_line(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    picture = str(tmp_path / "curve.png")
    assert run(["evaluate", str(log), "--models", "popularity", "--plot", picture]) == 2
    said = capsys.readouterr()
    assert "pip install matplotlib" in said.err
    assert "popularity" in said.out  # the table is not lost with the picture


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--models", "magic"], "no row called magic; choose from popularity"),
        (["--last", "2", "--history", "0.9", "--stream-max", "1"], None),
    ],
)
def test_what_makes_no_sense_is_refused(
    log: Path, options: list[str], complaint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["evaluate", str(log), "--models", "popularity", *options])
    assert code == (2 if complaint else 0)
    assert (complaint or "") in capsys.readouterr().err


class ByLength:
    """An encoder that remembers what it was given."""

    name = "by length"

    def __init__(self) -> None:
        self.given: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        self.given += texts
        return np.array([[len(text), 1] for text in texts], np.float16)


def test_only_items_with_a_text_that_occur_are_announced_and_encoded(log: Path) -> None:
    items = [{"item_id": "a", "title": "Tea pot"}, {"item_id": "b"}, {"item_id": "z", "title": "x"}]
    log.with_name("items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    opened, encoder = open_log(log.parent), ByLength()
    config = LearnerConfig(encoder=EncoderConfig(width=2))
    events = load_events(opened, last=30)
    assert len(events) == 30
    assert events[0].ts_ms == START_MS + 70 * 60_000
    told: list[tuple[str, int, int]] = []
    catalog = load_catalogue(opened, events, config, lambda: encoder, lambda *now: told.append(now))
    assert encoder.given == ["Tea pot"]
    assert (len(catalog), catalog.row("a"), catalog.row("b")) == (1, 0, -1)
    assert told[-1] == ("text of items", 1, 1)
