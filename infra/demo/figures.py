"""What the demo prints as its last line, and what must hold in it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.table import Table

from infra.demo.freshness import percentile


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The audit's outcome.

    `dead_letters` are refused clicks, purchases and reviews; refused items, requests and internal
    records are in `dead_letters_elsewhere`. `repeats` are events that a restarted role wrote again.
    `ndcg10` is the learner's decayed mean, ranked before learning; `ndcg10_from` says whether
    its metrics or its newest published version gave it. The `n` beside percentiles is how many
    events they are of: those that a recommendation took into account, or whose weights were used.
    """

    events: int
    accepted: int
    duplicates: int
    dead_letters: int
    lost: int
    repeats: int
    dead_letters_elsewhere: dict[str, int]
    examples: int
    unprofiled: int
    requests: int
    unanswered: int
    recommendations: int
    pushed: int
    lag: dict[str, int]
    adapter_versions: int
    adapter_version: int | None
    shifts: int
    ndcg10: float | None
    ndcg10_popularity: float | None
    ndcg10_from: str
    event_to_recommendation_ms: dict[str, float | None]
    event_to_weights_s: dict[str, float | None]

    def faults(self) -> list[str]:
        """What should not be, in words; empty when all is well."""
        found = []
        if astray := self.events - self.accepted - self.duplicates - self.dead_letters:
            found.append(
                f"{astray} of {self.events} events are neither accepted nor duplicates nor "
                f"dead letters"
            )
        if self.unprofiled:
            found.append(f"{self.unprofiled} accepted events never reached `examples`")
        if self.unanswered:
            found.append(f"{self.unanswered} of {self.requests} requests got no recommendation")
        if behind := {topic: records for topic, records in self.lag.items() if records}:
            found.append(f"records are left unread: {behind}")
        return found


def summary(values: Sequence[float], *percents: int) -> dict[str, float | None]:
    """Percentiles by name, and of how many values.

    >>> summary([10.0, 20.0, 30.0], 50, 99)
    {'p50': 20.0, 'p99': 30.0, 'n': 3}
    """
    figures: dict[str, float | None] = {f"p{p}": percentile(values, p) for p in percents}
    return {**figures, "n": len(values)}


def as_table(figures: Figures) -> Table:
    """The figures for people."""
    table = Table(title="read back from the topics", show_header=False, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for name, value in msgspec.structs.asdict(figures).items():
        if isinstance(value, dict):
            shown = "  ".join(f"{key} {_short(part)}" for key, part in value.items()) or "none"
        else:
            shown = _short(value)
        table.add_row(name, shown)
    return table


def _short(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
