"""Build the dashboard of `panels.py` and write it where Grafana's provisioning finds it.

`python -m infra.grafana.dashboards` writes the file; a test says when it is out of date.
"""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import AnnotationQuery, DataSourceRef, GridPos

from infra.grafana.panels import ROWS, Panel

FILE = Path(__file__).parent / "provisioning" / "dashboards" / "tidemill.json"

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

LINE_HEIGHT = 8
SINGLE_HEIGHT = 4
GRID_WIDTH = 24

ANNOTATIONS = (
    AnnotationQuery(
        name="Drift signals",
        datasource=SOURCE,
        expr="sum by (detector) (increase(tidemill_drift_signals_total[$__interval])) > 0",
        icon_color="orange",
    ),
    AnnotationQuery(
        name="Restarts",
        datasource=SOURCE,
        expr="sum by (role) (increase(tidemill_role_restarts_total[$__interval])) > 0",
        icon_color="red",
    ),
)


def build_panel(panel: Panel, number: int, at: GridPos) -> timeseries.Panel | stat.Panel:
    """One panel of the SDK from its description, in its place on the grid."""
    built: timeseries.Panel | stat.Panel
    if panel.single:
        built = (
            stat.Panel()
            .graph_mode(BigValueGraphMode.AREA)
            .decimals(0)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
    else:
        built = (
            timeseries.Panel()
            .min(0)
            .line_width(2)
            .fill_opacity(8)
            .show_points(VisibilityMode.NEVER)
            .tooltip(
                common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
            )
            .legend(
                common.VizLegendOptions()
                .display_mode(LegendDisplayMode.LIST)
                .placement(LegendPlacement.BOTTOM)
                .show_legend(True)
            )
        )
    built.title(panel.title).description(panel.description).unit(panel.unit).grid_pos(at)
    built.id(number).datasource(SOURCE)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        built.with_target(
            prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
        )
    return built


def build() -> dashboard.Dashboard:
    """The whole dashboard."""
    board = (
        dashboard.Dashboard("Tidemill")
        .uid("tidemill")
        .description("From a shop's event to a better answer: traffic, learning, serving.")
        .tags(["tidemill"])
        .refresh("5s")
        .time("now-30m", "now")
        .timezone("browser")
        .with_variable(
            dashboard.DatasourceVariable("datasource").type("prometheus").label("Source")
        )
        .with_variable(
            dashboard.QueryVariable("tenant")
            .label("Tenant")
            .datasource(SOURCE)
            .query("label_values(tidemill_catalogue_items, tenant)")
            .multi(True)  # noqa: FBT003 - the SDK's own
            .include_all(True)  # noqa: FBT003
            .all_value(".*")
        )
    )
    for annotation in ANNOTATIONS:
        board.annotation(_Built(annotation))
    top, number = 0, 0
    for row in ROWS:
        heading = dashboard.Row(row.title).grid_pos(GridPos(x=0, y=top, w=GRID_WIDTH, h=1))
        board.with_row(heading.id(number := number + 1))
        top += 1
        left, tallest = 0, 0
        for panel in row.panels:
            height = SINGLE_HEIGHT if panel.single else LINE_HEIGHT
            if left + panel.width > GRID_WIDTH:
                top, left, tallest = top + tallest, 0, 0
            at = GridPos(x=left, y=top, w=panel.width, h=height)
            board.with_panel(build_panel(panel, (number := number + 1), at))
            left, tallest = left + panel.width, max(tallest, height)
        top += tallest
    return board


class _Built:
    """A model that is ready, where the SDK wants a builder."""

    def __init__(self, model: AnnotationQuery) -> None:
        self._model = model

    def build(self) -> AnnotationQuery:
        return self._model


def as_json() -> str:
    """The dashboard as Grafana reads it."""
    text: str = JSONEncoder(sort_keys=True, indent=2).encode(build().build())
    return text + "\n"


def main() -> None:
    """Write the file."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(as_json())


if __name__ == "__main__":
    main()
