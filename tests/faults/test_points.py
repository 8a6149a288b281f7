"""The crash points themselves: each is there in the product, and is reached when it says."""

from __future__ import annotations

import asyncio
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

from infra.roles import ROLES
from learner.snapshot import Saved, Snapshots
from tests.faults import points
from tests.faults.points import POINTS, Point, arm, resolve


class DiedError(Exception):
    """Stands for SIGKILL."""


def die(where: str) -> None:
    raise DiedError(where)


@pytest.mark.parametrize("name", POINTS)
def test_a_point_is_a_function_of_the_product(name: str) -> None:
    assert inspect.isfunction(resolve(POINTS[name].at)[2])
    assert POINTS[name].role in ROLES


def test_a_point_whose_function_is_gone_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"names stream.ledger:Ledger.gone.*new place"):
        resolve("stream.ledger:Ledger.gone")
    with pytest.raises(LookupError, match="no crash point 'ingest-nowhere'"):
        arm("ingest-nowhere", 1)


def wrap(monkeypatch: pytest.MonkeyPatch, name: str, passes: int) -> None:
    home, attribute, real = resolve(POINTS[name].at)
    monkeypatch.setattr(home, attribute, real)  # so that it is put back
    arm(name, passes, die)


def test_half_a_checkpoint_is_never_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap(monkeypatch, "learner-half-a-checkpoint", 3)
    checkpoints = Snapshots(tmp_path / "checkpoints", keep=3)
    saved = Saved({"x": np.arange(1_000)}, {})
    checkpoints.write(1, saved)
    with pytest.raises(DiedError, match="learner-half-a-checkpoint, pass 3"):
        checkpoints.write(2, saved)
    (left,) = (tmp_path / "checkpoints").glob(".writing-2-*/model.safetensors")
    assert 0 < left.stat().st_size < 8_000
    assert checkpoints.numbers() == [1]


def test_a_coroutine_is_wrapped_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    here = sys.modules[__name__]
    monkeypatch.setattr(here, "echo", echo)
    monkeypatch.setitem(
        points.POINTS, "echo", Point("learner", f"{__name__}:echo", "half", "", lambda text: text)
    )
    arm("echo", 2, die)
    assert asyncio.run(here.echo("")) == ""
    assert asyncio.run(here.echo("whole")) == "whole"
    with pytest.raises(DiedError):
        asyncio.run(here.echo("whole"))
    assert heard == ["", "whole", "wh"]


heard: list[str] = []


async def echo(text: str) -> str:
    heard.append(text)
    return text
