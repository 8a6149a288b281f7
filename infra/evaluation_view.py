"""What an evaluation found, as a table, as one line of JSON, and as a picture over time."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rich.table import Table

from learner.prequential import Evaluation, Row
from learner.ranking_metrics import running_mean
from stream.errors import SettingsError

_COLUMNS = (
    "hr10",
    "ndcg10",
    "ndcg10_ci95",
    "mrr",
    "cold_item_hr10",
    "cold_item_share",
    "cold_user_ndcg10",
    "train_s",
    "score_s",
)

_LEADING = ("online", "no-transformer")

_WITHOUT = ("no-transformer", "stacking", "frozen", "retrained-daily")
"""What `online` has to be ahead of for its parts to be worth their seconds."""


def table(found: Evaluation, name: str) -> Table:
    """One line per model; the best NDCG@10 stands out."""
    title = (
        f"{name}: the last {found.streamed:,} of {found.events:,} events, "
        f"{found.items:,} items, {found.users:,} users"
    )
    shown = Table(title=title, caption=caption(found), caption_justify="left", title_justify="left")
    shown.add_column("model", no_wrap=True)
    shown.add_column("as", no_wrap=True)
    for heading in (
        "NDCG@10",
        "95 %",
        "HR@10",
        "P@10",
        "R@10",
        "MRR",
        "cold item\nHR@10",
        "cold user\nNDCG@10",
        "train\ns",
        "score\ns",
    ):
        shown.add_column(heading, justify="right")
    best = max(row.ndcg10 for row in found.rows)
    for row in found.rows:
        shown.add_row(*_cells(row), style="bold" if row.ndcg10 == best else "")
    return shown


def caption(found: Evaluation) -> str:
    """What the figures rest on, and how far the learner is ahead."""
    past = {
        "event": "a user's past reaches up to the event",
        "instant": "a user's past reaches up to the instant before; instants are ranked whole",
    }[found.histories]
    masked = "what a user had is not ranked" if found.mask_consumed else "repeats are ranked"
    lines = [f"{past}; {masked}; {found.rows[0].cold_item_share:.1%} of events at cold items"]
    best = found.best_baseline()
    for row in found.rows:
        if row.model in _LEADING and best is not None:
            low, high = found.lead(row.model, best.model)
            ratio = row.ndcg10 / best.ndcg10 if best.ndcg10 else math.inf
            lines.append(
                f"{row.model}: {ratio:.2f} x {best.model}, the best baseline "
                f"(difference {low:+.4f} to {high:+.4f})"
            )
        if row.model == "online":
            for other in (one for one in found.rows if one.model in _WITHOUT):
                low, high = found.lead(row.model, other.model)
                ratio = row.ndcg10 / other.ndcg10 if other.ndcg10 else math.inf
                apart = f"(difference {low:+.4f} to {high:+.4f})"
                lines.append(f"{row.model}: {ratio:.2f} x {other.model} {apart}")
        if len(set(row.ndcg10_seeds)) > 1:
            seeds = ", ".join(f"{value:.4f}" for value in row.ndcg10_seeds)
            lines.append(f"{row.model}: NDCG@10 by seed {seeds}")
    return "\n".join(lines)


def figures(found: Evaluation, name: str) -> str:
    """The figures as one JSON object; what was not measured is null."""
    rows = [
        {"model": row.model} | {column: _plain(getattr(row, column)) for column in _COLUMNS}
        for row in found.rows
    ]
    return json.dumps(
        {
            "data": name,
            "events": found.events,
            "streamed": found.streamed,
            "items": found.items,
            "users": found.users,
            "rows": rows,
        }
    )


def plot(found: Evaluation, name: str, path: Path, window: int = 2000) -> None:
    """Draw each row's running NDCG@10 over the streamed events.

    Raises
    ------
    SettingsError
        If matplotlib is missing or can't write such a file.
    """
    try:
        # Imported when a picture is asked for: it takes a second, and only developers have it.
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        message = "--plot draws with matplotlib, which is not installed: pip install matplotlib"
        raise SettingsError(message) from error
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    for row in found.rows:
        curve = running_mean(found.gains[row.model], window)
        leads = row.model == "online"
        style = {"color": "black", "lw": 2.2, "zorder": 3} if leads else {"lw": 1.0}
        axes.plot(curve.events, curve.mean, label=row.model, **style)
    axes.set_title(name, loc="left")
    axes.set_xlabel("streamed events")
    axes.set_ylabel(f"NDCG@10, mean of the last {window:,}")
    axes.set_xlim(0, found.streamed)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    try:
        figure.savefig(path)
    except (ValueError, OSError) as error:
        message = f"--plot {path}: {error}"
        raise SettingsError(message) from error


def _cells(row: Row) -> tuple[str, ...]:
    low, high = row.ndcg10_ci95
    return (
        row.model,
        row.arm,
        f"{row.ndcg10:.4f}",
        f"±{(high - low) / 2:.4f}",
        *(_rounded(value, 4) for value in (row.hr10, row.precision10, row.recall10, row.mrr)),
        _rounded(row.cold_item_hr10, 4),
        _rounded(row.cold_user_ndcg10, 4),
        _rounded(row.train_s, 1),
        _rounded(row.score_s, 1),
    )


def _rounded(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return None if math.isnan(value) else round(value, 6)
