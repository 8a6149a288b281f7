"""`tidemill bench`: what it prints, and how it measures in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from infra.bench.apart import Failed, apart
from infra.bench.bar import Bar, Run
from infra.commands.bench import NAMES, bench


@pytest.fixture
def ingest(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Run]]:
    """A bench that measures nothing, and how it was run."""
    runs: list[Run] = []

    def measure(run: Run) -> Iterator[Bar]:
        runs.append(run)
        run.say("measuring")
        yield Bar(name="ingest/raw", value=2.5, unit="events/s")
        yield Bar(name="ingest/faust", value=9.0, unit="events/s", ratio=3.0, bar="≥ 2", holds=True)

    module = ModuleType("infra.bench.ingest")
    module.measure = measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "infra.bench.ingest", module)
    return iter([runs])


def test_each_figure_is_an_object(ingest: Iterator[list[Run]], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = CliRunner().invoke(bench, ["ingest", "--json", "--size", "0.5", "--keep", str(kept)])
    assert done.exit_code == 0, done.output
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == {
        "name": "ingest/raw",
        "value": 2.5,
        "unit": "events/s",
        "against": {},
        "ratio": None,
        "bar": "",
        "holds": None,
    }
    assert (second["ratio"], second["bar"], second["holds"]) == (3.0, "≥ 2", True)
    assert done.stderr == "ingest: measuring\n"
    (run,) = next(ingest)
    assert run.size == 0.5
    assert run.folder == kept / "ingest"
    assert run.sized(1_000) == 500


def test_words_say_whether_a_bar_holds(ingest: Iterator[list[Run]]) -> None:
    done = CliRunner().invoke(bench, ["ingest"])
    assert done.stdout.splitlines()[1] == "ingest/faust: 9 events/s; ratio 3; ≥ 2: holds"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_a_module(name: str) -> None:
    assert find_spec(f"infra.bench.{name.replace('-', '_')}") is not None


def squares(*words: str) -> dict[str, float]:
    return {word: float(word) ** 2 for word in words}


def test_a_function_apart_gives_its_figures() -> None:
    assert apart(f"{__name__}:squares", 2, 3.0) == {"2": 4, "3.0": 9}


def test_a_failure_apart_is_told() -> None:
    with pytest.raises(Failed, match="could not convert string to float: 'two'"):
        apart(f"{__name__}:squares", "two")


def test_another_interpreter_runs_a_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint('noise')\nprint({'\"n\"': 1}, len(sys.argv))\n")
    with pytest.raises(Failed, match="no figures"):
        apart(str(script), 7, python=Path(sys.executable))
    script.write_text("import sys\nprint('noise')\nprint('{\"n\": %s}' % sys.argv[1])\n")
    assert apart(str(script), 7, python=Path(sys.executable)) == {"n": 7}
