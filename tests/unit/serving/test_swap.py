"""Model versions: the newest live one answers, a bad file never does, and nobody waits for it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import msgspec
import pytest

from features.catalog import Catalog
from serving.ranker import Ranker
from serving.swap import AdapterSwap, Swap
from stream.batching import PlainRecord
from stream.events import AdapterVersion, json_encode
from tests.unit.serving.shop import PlainModels, publish, withdrawn


def heard(swap: AdapterSwap, *announced: AdapterVersion) -> None:
    for offset, version in enumerate(announced):
        swap.hear(PlainRecord(version.model.encode(), json_encode(version), offset))


def settled(swap: AdapterSwap) -> list[Swap]:
    """Everything that happens until nothing more does."""
    swaps = []
    idle = 0
    while idle < 3:
        step = swap.step()
        swap.settle(10)
        idle = 0 if step else idle + 1
        swaps += [step] if step else []
    return swaps


def outcomes(swaps: list[Swap]) -> list[tuple[str, int]]:
    return [(swap.outcome, swap.announced.version) for swap in swaps]


def in_use(swaps: list[Swap]) -> int | None:
    rankers = [swap.ranker for swap in swaps if swap.ranker is not None]
    return rankers[-1].version


def new_swap(model: str = "") -> AdapterSwap:
    return AdapterSwap(PlainModels(), Catalog(width=2), model)


def test_the_newest_announced_version_takes_over(tmp_path: Path) -> None:
    swap = new_swap()
    heard(swap, publish(tmp_path, 1), publish(tmp_path, 2))
    assert outcomes(settled(swap)) == [("loaded", 2)]
    heard(swap, publish(tmp_path, 3))
    assert outcomes(settled(swap)) == [("loaded", 3)]
    assert settled(swap) == []


def test_a_rolled_back_version_gives_way_to_the_newest_live_one(tmp_path: Path) -> None:
    swap = new_swap()
    first, second, third = (publish(tmp_path, version) for version in (1, 2, 3))
    heard(swap, first, second, third)
    settled(swap)
    heard(swap, withdrawn(second), withdrawn(third))
    swaps = settled(swap)
    assert outcomes(swaps) == [("loaded", 1)]
    assert in_use(swaps) == 1
    heard(swap, withdrawn(first))
    gone = settled(swap)
    assert outcomes(gone) == [("withdrawn", 1)]
    assert in_use(gone) is None


def test_a_version_announced_again_after_a_roll_back_takes_over_again(tmp_path: Path) -> None:
    swap = new_swap()
    first, second = publish(tmp_path, 1), publish(tmp_path, 2)
    heard(swap, first, second)
    settled(swap)
    heard(swap, withdrawn(second), first)
    assert outcomes(settled(swap)) == [("loaded", 1)]


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"x", b"y"))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def foreign(path: Path) -> None:
    path.write_bytes(b"\x80\x04 not ours")


@pytest.mark.parametrize("damage", [changed, cut_short, foreign, Path.unlink])
def test_a_damaged_file_is_refused_and_the_live_version_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    swap = new_swap()
    heard(swap, publish(tmp_path, 1))
    settled(swap)
    second = publish(tmp_path, 2)
    assert callable(damage)
    damage(Path(second.path))
    heard(swap, second)
    with caplog.at_level(logging.ERROR):
        assert outcomes(settled(swap)) == [("refused", 2)]
    assert swap.current is not None
    assert swap.current.version == 1
    assert "model version 2 refused" in caplog.text
    assert "v2.json" in caplog.text
    assert "version 1 goes on" in caplog.text
    assert settled(swap) == [], "a refused file is not tried again by itself"


def test_a_refused_version_is_tried_again_when_it_is_announced_anew(tmp_path: Path) -> None:
    swap = new_swap()
    announced = publish(tmp_path, 1)
    content = Path(announced.path).read_bytes()
    Path(announced.path).unlink()
    heard(swap, announced)
    assert outcomes(settled(swap)) == [("refused", 1)]
    Path(announced.path).write_bytes(content)
    heard(swap, announced)
    assert outcomes(settled(swap)) == [("loaded", 1)]


def test_a_version_that_cannot_be_bound_is_refused(tmp_path: Path) -> None:
    class Unbound(PlainModels):
        def bind(self, announced: AdapterVersion, loaded: object, catalog: Catalog) -> Ranker:  # type: ignore[override]
            msg = "another encoder's width"
            raise ValueError(msg)

    swap = AdapterSwap(Unbound(), Catalog(width=2))
    heard(swap, publish(tmp_path, 1))
    assert outcomes(settled(swap)) == [("refused", 1)]


def test_loading_never_blocks_the_answers(tmp_path: Path) -> None:
    may_go_on = threading.Event()

    class Slow(PlainModels):
        def load(self, announced: AdapterVersion) -> int:
            may_go_on.wait(30)
            return super().load(announced)

    swap = AdapterSwap(Slow(), Catalog(width=2))
    heard(swap, publish(tmp_path, 1))
    assert swap.step() is None
    assert swap.step() is None, "still loading, and step returned"
    may_go_on.set()
    assert outcomes(settled(swap)) == [("loaded", 1)]


def test_a_learner_that_publishes_faster_than_files_load_does_not_starve_us(
    tmp_path: Path,
) -> None:
    swap = new_swap()
    heard(swap, publish(tmp_path, 1))
    swap.step()
    heard(swap, publish(tmp_path, 2))
    assert outcomes(settled(swap)) == [("loaded", 1), ("loaded", 2)]


def test_a_version_rolled_back_while_it_loads_never_answers(tmp_path: Path) -> None:
    swap = new_swap()
    first = publish(tmp_path, 1)
    heard(swap, first)
    swap.step()
    heard(swap, withdrawn(first))
    assert settled(swap) == []


def test_rubbish_other_models_and_deletions(tmp_path: Path) -> None:
    swap = new_swap(model="next-item")
    swap.hear(PlainRecord(b"next-item", b"{not json", 0))
    swap.hear(PlainRecord(b"next-item", b'{"model": "next-item"}', 1))
    other = msgspec.structs.replace(publish(tmp_path, 9), model="reviews")
    heard(swap, other)
    assert settled(swap) == []
    heard(swap, publish(tmp_path, 1))
    assert outcomes(settled(swap)) == [("loaded", 1)]
    swap.hear(PlainRecord(b"next-item", None, 5))
    assert outcomes(settled(swap)) == [("withdrawn", 1)]
