"""Lines of growth as a picture: log-log, a panel for each thing that grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from infra.bench.scale import Line

COLUMNS = 2


def draw(lines: Sequence[Line], file: Path) -> None:
    """Save a panel per unit and x; a grey line through the first point is what linear would be."""
    panels: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        panels.setdefault((line.x_name, line.unit), []).append(line)
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(4.6 * COLUMNS, 3.2 * rows), layout="constrained")
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, ((x_name, unit), shown) in zip(places, panels.items(), strict=False):
        for line in shown:
            label = f"{line.name}: exponent {line.exponent:.2f}"
            axes.loglog(line.x, line.y, marker="o", label=label)
            axes.loglog(
                [line.x[0], line.x[-1]],
                [line.y[0], line.y[0] * line.x[-1] / line.x[0]],
                color="#bbb",
                linestyle=":",
            )
        axes.set_xlabel(x_name)
        axes.set_ylabel(unit)
        axes.legend(fontsize=7)
        axes.grid(visible=True, which="both", alpha=0.2)
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    with mpl.rc_context({"svg.hashsalt": "tidemill"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
