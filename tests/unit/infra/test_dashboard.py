from __future__ import annotations

import json
import re

import pytest

from infra.grafana import dashboards
from infra.grafana.panels import ROWS, Panel
from stream.metrics import REGISTRY

PANELS = [panel for row in ROWS for panel in row.panels]


def exposed_names() -> set[str]:
    """The metrics of the page as Prometheus knows them: counters with their ending."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
    }


def names_in(expr: str) -> set[str]:
    names = set(re.findall(r"\btidemill_\w+", expr))
    exposed = exposed_names()
    return {
        name if name in exposed else re.sub(r"_(bucket|sum|count)$", "", name) for name in names
    }


def test_the_file_is_what_the_code_builds() -> None:
    assert dashboards.FILE.read_text() == dashboards.as_json(), (
        "the dashboard's file is out of date: python -m infra.grafana.dashboards"
    )


def test_every_metric_is_on_the_dashboard_and_no_other() -> None:
    shown = {name for panel in PANELS for query in panel.queries for name in names_in(query.expr)}

    assert shown == exposed_names()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_every_panel_says_what_a_change_means(panel: Panel) -> None:
    assert re.search(r"\b(rise|rises|fall|flat line|jumps up)\b", panel.description)


def test_labels_in_queries_are_labels_of_their_metrics() -> None:
    known = {"le", "process"}
    for family in REGISTRY.collect():
        known |= {label for sample in family.samples for label in sample.labels}
    known |= {
        label
        for collector in REGISTRY._names_to_collectors.values()
        for label in getattr(collector, "_labelnames", ())
    }
    for panel in PANELS:
        for query in panel.queries:
            for group in re.findall(r"by \(([^)]*)\)", query.expr):
                assert set(group.split(", ")) <= known, panel.title
            legend = set(re.findall(r"{{(\w+)}}", query.legend))
            assert legend <= known, panel.title


def test_panels_do_not_overlap_and_fit_the_grid() -> None:
    board = json.loads(dashboards.FILE.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= dashboards.GRID_WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
