"""`tidemill pretrain` as a person runs it, on a tiny log of JSON lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from infra.cli import cli, run
from learner.behaviour import Behaviour
from learner.config import ModelConfig

START_MS = 1_600_000_000_000

SMALL = [
    *("--set", "learner.device=cpu", "--set", "learner.model.layers=1"),
    *("--set", "learner.model.heads=1", "--set", "learner.model.width=16"),
]
RATE = ["--rate", "0.01", "--negatives", "8"]


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


def pretrain(log: Path, folder: Path, *more: str) -> Result:
    asked = ["pretrain", str(log), "-o", str(folder), *RATE, *SMALL, *more]
    return CliRunner().invoke(cli, asked, catch_exceptions=False)


def weights(folder: Path) -> dict[str, list[float]]:
    files = (folder / "model.safetensors", folder / "heads.safetensors")
    return {k: v.flatten().tolist() for path in files for k, v in load_file(path).items()}


def test_the_last_line_is_the_figures_and_the_base_is_loadable(log: Path, tmp_path: Path) -> None:
    said = pretrain(log, tmp_path / "base", "--epochs", "12", "--patience", "12", "--json")
    assert said.exit_code == 0, said.output
    figures = json.loads(said.stdout.splitlines()[-1])
    assert figures["data"] == "tiny"
    assert len(figures["epochs"]) == 12
    assert figures["ndcg10"] > figures["epochs"][0]["ndcg10"]
    assert f"learner.model.base={tmp_path / 'base'}" in said.stdout
    model = Behaviour(ModelConfig(base=str(tmp_path / "base")), text_width=384, seed=0)
    assert model.pretrained
    about = json.loads((tmp_path / "base" / "tidemill.json").read_text())
    assert about["items"] == 12
    assert about["figures"]["config"]["negatives"] == 8


def test_more_epochs_later_are_the_same_as_all_at_once(log: Path, tmp_path: Path) -> None:
    pretrain(log, tmp_path / "at once", "--epochs", "4", "--patience", "9")
    pretrain(log, tmp_path / "in two", "--epochs", "2", "--patience", "9")
    said = pretrain(log, tmp_path / "in two", "--epochs", "4", "--patience", "9")
    assert "epoch   1" not in said.stderr
    assert "epoch   3" in said.stderr
    assert weights(tmp_path / "in two") == weights(tmp_path / "at once")


def test_a_killed_run_goes_on_from_its_last_epoch(log: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    asked = ["pretrain", str(log), "-o", str(folder), *RATE, *SMALL, "--patience", "100000"]
    command = [sys.executable, "-m", "infra.cli", *asked, "--epochs", "10000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "epoch   3" in line)
        process.send_signal(signal.SIGKILL)
        process.stderr.read()
    assert line
    assert not (folder / "tidemill.json").exists()
    kept = sorted(int(path.name) for path in (folder / "epochs").glob("[0-9]*"))
    assert kept[-1] >= 3
    more = str(kept[-1] + 1)
    said = pretrain(log, folder, "--patience", "100000", "--epochs", more, "--json")
    assert said.exit_code == 0, said.output
    figures = json.loads(said.stdout.splitlines()[-1])
    assert len(figures["epochs"]) == int(more)
    assert said.stderr.count("validation") == 1


def test_ctrl_c_keeps_the_epoch_and_says_how_to_go_on(log: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    asked = ["pretrain", str(log), "-o", str(folder), *RATE, *SMALL, "--patience", "100000"]
    command = [sys.executable, "-m", "infra.cli", *asked, "--epochs", "10000"]
    environment = os.environ | {"COLUMNS": "300"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        assert any("epoch   2" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert f"is kept in {folder / 'epochs'}: the same command goes on" in rest
    assert "Traceback" not in rest


def test_other_options_are_refused_until_one_begins_anew(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "base"
    pretrain(log, folder, "--epochs", "1")
    asked = ["pretrain", str(log), "-o", str(folder), "--epochs", "1", "--negatives", "4", *SMALL]
    assert run(asked) == 2
    assert "--no-resume" in capsys.readouterr().err
    assert run([*asked, "--no-resume"]) == 0


def test_a_log_without_a_second_event_of_anyone_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.jsonl"
    rows = [
        {"ts_ms": START_MS + n, "user_id": f"u{n}", "item_id": "i", "kind": "click"}
        for n in range(9)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["pretrain", str(path), "-o", str(tmp_path / "base"), *SMALL]) == 2
    assert "nothing to learn: of 9 events of 9 users" in capsys.readouterr().err
