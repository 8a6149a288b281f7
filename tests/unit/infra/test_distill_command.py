"""`tidemill distill` as a person runs it: a base, a log, and a smaller base."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from infra.cli import cli, run
from learner.base import About
from learner.behaviour import Behaviour
from learner.config import ModelConfig

START_MS = 1_600_000_000_000
CPU = ("--set", "learner.device=cpu")
FAST = ["--rate", "0.01", "--negatives", "8", "--epochs", "3", *CPU]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Forty users who go round twelve items, each from another one on."""
    rows = [
        {
            "ts_ms": START_MS + n * 60_000,
            "user_id": f"u{n % 40}",
            "item_id": f"i{(n // 40 + n % 40) % 12}",
            "kind": "click",
        }
        for n in range(400)
    ]
    path = tmp_path / "tiny" / "events.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_a_base_becomes_a_smaller_base(log: Path, tmp_path: Path) -> None:
    base, small = str(tmp_path / "base"), str(tmp_path / "small")
    shape = ["--set", "learner.model.width=32", "--set", "learner.model.transformer_steps=5"]
    assert call("pretrain", str(log), "-o", base, *shape, *FAST).exit_code == 0
    said = call("distill", base, "--data", str(log), "-o", small, "--json", *FAST)
    assert said.exit_code == 0, said.output
    figures = json.loads(said.stdout.splitlines()[-1])
    assert figures["width"] == 8
    assert 0 < figures["parameters"] < 0.1
    assert figures["kept"] == pytest.approx(
        figures["student"]["ndcg10"] / figures["teacher_ndcg10"]
    )
    model = Behaviour(ModelConfig(base=small), text_width=384, seed=0)
    assert model.pretrained
    assert model.width == 8
    about = msgspec.json.decode((tmp_path / "small" / "tidemill.json").read_bytes(), type=About)
    assert about.steps == 5
    assert about.figures["config"]["distill"]["weight"] == 4.0

    again = call("distill", base, "--data", str(log), "-o", small, *FAST)
    assert "epoch   1" not in again.stderr
    assert again.stdout.splitlines()[1] == said.stdout.splitlines()[1]


def test_a_width_that_heads_cannot_share_is_refused(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = str(tmp_path / "base")
    assert call("pretrain", str(log), "-o", base, "--epochs", "1", *CPU).exit_code == 0
    asked = ["distill", base, "--data", str(log), "-o", str(tmp_path / "small"), *CPU]
    assert run([*asked, "--width", "10", "--heads", "2"]) == 2
    assert "can't be shared by 2 heads" in capsys.readouterr().err
