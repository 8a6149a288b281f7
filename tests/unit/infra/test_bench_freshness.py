"""The bench of freshness: which percentile is judged by which bar."""

from __future__ import annotations

import msgspec
import pytest

from infra.bench.freshness import Faulty, bars
from infra.demo.figures import Figures

FIGURES = Figures(
    events=1_000,
    accepted=1_000,
    duplicates=0,
    dead_letters=0,
    lost=0,
    repeats=0,
    dead_letters_elsewhere={},
    examples=1_000,
    unprofiled=0,
    requests=1,
    unanswered=0,
    recommendations=1,
    pushed=0,
    lag={},
    adapter_versions=2,
    adapter_version=2,
    shifts=0,
    ndcg10=None,
    ndcg10_popularity=None,
    ndcg10_from="",
    event_to_recommendation_ms={},
    event_to_weights_s={"p50": 4.0, "p95": 12.0, "n": 1_000},
)


def test_where_the_stack_ran_is_judged_and_the_other_is_not() -> None:
    cpu, gpu, versions = bars(FIGURES, gpu=False)
    assert (cpu.value, cpu.holds, cpu.against["median"]) == (12.0, True, 4.0)
    assert gpu.holds is None
    assert versions.value == pytest.approx(5.0)
    cpu, gpu, _ = bars(FIGURES, gpu=True)
    assert cpu.holds is None
    assert gpu.holds is False


def test_without_a_version_in_use_there_is_no_figure() -> None:
    none = msgspec.structs.replace(FIGURES, event_to_weights_s={"p50": None, "p95": None, "n": 0})
    with pytest.raises(Faulty):
        list(bars(none, gpu=False))
