"""What the benches of start-up, memory and growth compute, and the picture of imports."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from infra.bench import growing, memory, scale, startup
from infra.bench.bar import Run
from infra.bench.fed import ROLES
from infra.bench.imports import IMPORTS, Import, picture
from infra.bench.recovery import changes
from infra.bench.states import some_states
from infra.roles import ROLES as ALL_ROLES


def line(y: list[float], most: float = scale.MOST) -> scale.Line:
    return scale.Line("x", "items", "ms", [10, 100, 1000], y, most)


def test_linear_holds_and_quadratic_does_not() -> None:
    assert line([3, 30, 300]).bar().holds
    assert line([3, 3.1, 3.2]).bar().value == pytest.approx(0.014, abs=0.01)
    assert not line([1, 100, 10_000]).bar().holds
    assert not line([3, 30, 300], scale.FLAT).bar().holds


def test_the_picture_of_growth_can_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from infra.bench.scale_plot import draw  # noqa: PLC0415 - needs Matplotlib

    draw([line([1, 2, 3]), line([1, 5, 9])], tmp_path / "scale.svg")
    drawn = ElementTree.parse(tmp_path / "scale.svg")  # noqa: S314 - ours
    assert drawn.getroot().tag.endswith("svg")


def test_memory_that_is_filled_once_does_not_count_as_growth() -> None:
    filled = [100.0, 400.0] + [500.0] * 18
    leaking = [100.0 + 2 * n for n in range(20)]
    at = [1_000 * (n + 1) for n in range(20)]
    assert memory.growth(at, filled) == pytest.approx(0.0)
    assert memory.PER * memory.growth(at, leaking) == pytest.approx(200.0)


def test_a_role_is_fed_and_weighed() -> None:
    found = memory.fed("ingest", "3000", "1")
    assert found["events"] == 3_000
    assert found["end_mb"] >= 1
    assert set(memory.EVENTS) == set(ROLES)


def test_states_are_of_full_histories_and_differ() -> None:
    made = some_states(3, 60)
    assert len(set(made)) == 3
    assert all(800 < len(state) <= scale.STATE_BYTES for state in made)
    sent = list(changes(10, 4))
    assert {one.partition for one in sent} == {0, 1, 2, 3}
    assert len({one.key for one in sent}) == 10


def test_users_take_disk() -> None:
    found = growing.users("300")
    assert 0 < found["bytes_per_user"] <= scale.STATE_BYTES
    assert found["users_per_s"] > 0


def test_help_is_measured() -> None:
    assert 0 < startup.help_bar().value < 60


def test_the_picture_of_imports_nests_what_was_imported() -> None:
    top, below = Import("learner"), Import("torch & <others>")
    top.seconds, below.seconds = 2.0, 1.0
    top.below.append(below)
    drawn = ElementTree.fromstring(picture(top))  # noqa: S314 - ours
    widths = [float(box.get("width", 0)) for box in drawn.iter() if box.tag.endswith("rect")]
    assert widths[1:] == [1200.0, 600.0]
    assert set(IMPORTS) == set(ALL_ROLES)


def test_sizes_follow_the_run(tmp_path: Path) -> None:
    run = Run(print, tmp_path, size=0.1)
    assert [run.sized(size, least=size // 100) for size in scale.ITEMS] == [1_000, 10_000, 100_000]
