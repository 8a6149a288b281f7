"""What a shop of a size needs follows from figures per core, and the page from its own table."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from infra.bench.sizing import BEGIN, END, EXAMPLE, RATES, Figures, as_table, plan, read, renewed

PAGE = Path(__file__).parents[3] / "docs" / "SCALING.md"


def test_a_table_is_read_as_it_is_written() -> None:
    assert read(as_table(EXAMPLE, {})) == EXAMPLE


def test_what_nobody_measured_is_not_promised() -> None:
    page = as_table(EXAMPLE, {}).replace("| `learner_gpu` | 0 |", "| `learner_gpu` | – |")
    assert read(page).learner_gpu == 0
    assert plan(10_000, EXAMPLE).learners_gpu is None


@pytest.mark.parametrize("rate", RATES)
def test_nothing_that_is_planned_is_busier_than_it_may_be(rate: int) -> None:
    one = plan(rate, EXAMPLE)
    allowed = EXAMPLE.busy * 1.000001
    assert rate * (1 / EXAMPLE.ingest + 1 / EXAMPLE.profile) / one.workers <= allowed
    assert rate / EXAMPLE.learner_cpu / one.learners_cpu <= allowed
    assert rate * EXAMPLE.lists_per_event / EXAMPLE.serving / one.servers <= allowed
    assert one.partitions >= 2 * one.workers


def test_the_scarcest_part_is_the_bottleneck() -> None:
    figures = msgspec.structs.replace(EXAMPLE, learner_gpu=1_000_000.0)
    assert plan(100_000, EXAMPLE).bottleneck.part == "learner"
    assert plan(100_000, figures, gpu=True).bottleneck.part != "learner"
    slow_store = msgspec.structs.replace(EXAMPLE, store=10.0)
    assert plan(100_000, slow_store).bottleneck.part == "online store"


def test_figures_that_lack_one_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="profile"):
        read("| `ingest` | 5 | |")


def test_the_page_is_what_its_table_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert BEGIN in page
    assert END in page
    assert isinstance(read(page), Figures)
    assert renewed(page) == page
