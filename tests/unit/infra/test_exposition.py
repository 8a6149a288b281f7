"""Metrics of a process: where they are, what a taken port does, what is left behind."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.exposition import Exposition, read_role_file
from infra.roles import role_file
from infra.settings import Settings
from stream.errors import Halt
from stream.metrics import RUN_RECORDS


def settings(folder: Path, *more: str) -> Settings:
    return Settings.load(environ={}, assignments=[f"run.data_dir={folder}", *more])


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_metrics_and_memory_are_shown_where_the_file_says(tmp_path: Path) -> None:
    RUN_RECORDS.labels(stage="test").observe(3)
    with Exposition("learner", settings(tmp_path, "metrics.learner=0")) as shown:
        known = read_role_file(role_file(tmp_path, "learner"))
        assert known is not None
        assert (known.role, known.pid, known.url) == ("learner", os.getpid(), shown.url)
        with urllib.request.urlopen(known.url) as page:
            text = page.read().decode()
    assert 'tidemill_run_records_sum{stage="test"} 3.0' in text
    assert "process_resident_memory_bytes" in text
    assert not role_file(tmp_path, "learner").exists()


def test_a_chosen_port_that_is_taken_stops_the_process(tmp_path: Path, taken: int) -> None:
    with pytest.raises(Halt, match=rf"127\.0\.0\.1:{taken}.*set metrics\.serving to another port"):
        Exposition("serving", settings(tmp_path, f"metrics.serving={taken}"))


def test_a_default_port_that_is_taken_gives_way_to_a_free_one(tmp_path: Path) -> None:
    # Whichever of the two gets the default port, the other one may not fail over it.
    with (
        Exposition("serving", settings(tmp_path)) as first,
        Exposition("serving", settings(tmp_path)) as second,
    ):
        assert 0 not in (first.port, second.port)
        assert first.port != second.port


def test_none_are_shown_where_none_are_wanted(tmp_path: Path) -> None:
    with Exposition("serving", settings(tmp_path, "metrics.serving=-1")) as hidden:
        assert (hidden.port, hidden.url) == (0, "")


def test_a_role_file_of_a_later_process_is_left_alone(tmp_path: Path) -> None:
    file = role_file(tmp_path, "learner")
    with Exposition("learner", settings(tmp_path, "metrics.learner=0")):
        file.write_text(file.read_text().replace(str(os.getpid()), "1"))
    assert file.exists()


@pytest.mark.parametrize("content", ["", "{", '{"role": 3}'])
def test_a_torn_role_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    assert read_role_file(tmp_path / "x.json") is None
